//! One crypto provider in the whole workspace: aws-lc.
//!
//! Two of them in one process make rustls and jsonwebtoken fail at run time, not at build time.

use anyhow::{Result, bail};

use crate::job;
use crate::workspace::Workspace;

/// Packages and features that bring a second provider.
const OTHERS: [&str; 5] = [
    "ring v",
    "openssl-sys v",
    "native-tls v",
    "jsonwebtoken feature \"rust_crypto\"",
    "rustls feature \"ring\"",
];

/// Looks through the dependency tree of the native programs, features included.
pub(super) fn one_provider(workspace: &Workspace) -> Result<()> {
    let mut tree = workspace.cargo();
    tree.args(["tree", "--edges", "normal,build,features", "--prefix", "none", "--locked"]);
    let found = others_in(&job::capture(&mut tree)?);
    if found.is_empty() {
        return Ok(());
    }
    bail!(
        "a second crypto provider: {}; `cargo tree -e features -i NAME` tells why",
        found.join(", ")
    )
}

fn others_in(tree: &str) -> Vec<&'static str> {
    OTHERS.into_iter().filter(|other| tree.lines().any(|line| line.starts_with(other))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_provider_is_found_as_a_package_and_as_a_feature() {
        let tree = "server v0.1.0 (/x)\nring v0.17.14\njsonwebtoken feature \"rust_crypto\"\n";
        assert_eq!(others_in(tree), ["ring v", "jsonwebtoken feature \"rust_crypto\""]);
        let tree = "aws-lc-rs v1.19.0\nstring v1.0.0\njsonwebtoken feature \"aws_lc_rs\"\n";
        assert!(others_in(tree).is_empty());
    }
}
