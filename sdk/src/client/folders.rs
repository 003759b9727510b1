//! Folders of a sandbox, and what is in them.

use reqwest::Method;

use super::{Error, SandboxHandle, answer::decode};
use crate::types::{FolderListing, FsEntry};

/// Where relative paths begin.
const WORKSPACE: &str = "/workspace";

impl SandboxHandle {
    /// What is in a folder, by name; `all`: also what begins with a dot. Paths are absolute, or
    /// relative to the workspace.
    ///
    /// # Errors
    /// 404 when there is no such folder, 400 when it is none.
    pub async fn list_folder(&self, path: &str, all: bool) -> Result<FolderListing, Error> {
        let call = self.call(Method::GET, &format!("/fs/list{}", in_route(path)?))?;
        decode(&self.client.send(call.query("all", all)).await?, "what is in a folder")
    }

    /// What is known of a file, a folder or a link itself; `None` when nothing is there.
    ///
    /// # Errors
    /// When it could not be found out.
    pub async fn stat(&self, path: &str) -> Result<Option<FsEntry>, Error> {
        let call = self.call(Method::GET, &format!("/fs/stat{}", in_route(path)?))?;
        match self.client.send(call).await {
            Ok(body) => decode(&body, "what is known of a file").map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a folder, and those above it. One that is there already is no error.
    ///
    /// # Errors
    /// When the folder could not be made, or it is unknown whether it was.
    pub async fn make_folder(&self, path: &str) -> Result<(), Error> {
        let call = self.call(Method::POST, &format!("/fs/mkdir{}", in_route(path)?))?;
        let call = call.query("recursive", true).repeatable(true);
        self.client.send(call).await.map(drop)
    }

    /// Removes a file, a link or a folder; `recursive`: with all that is in it. One that is gone
    /// already is no error.
    ///
    /// # Errors
    /// 409 for a folder that is not empty; when it is unknown whether it was removed.
    pub async fn remove(&self, path: &str, recursive: bool) -> Result<(), Error> {
        let call = self.call(Method::DELETE, &format!("/fs{}", in_route(path)?))?;
        match self.client.send(call.query("recursive", recursive)).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

/// A path as it stands in a route: absolute, from its first slash on, percent-encoded once.
pub(super) fn in_route(path: &str) -> Result<String, Error> {
    let mut route = if path.starts_with('/') { String::new() } else { WORKSPACE.to_owned() };
    for name in path.split('/').filter(|name| !matches!(*name, "" | ".")) {
        // Whoever reads the address on its way would leave out what comes before.
        if name == ".." {
            return Err(Error::InvalidArgument("a path here can't have '..' in it".into()));
        }
        route.push('/');
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                route.push(char::from(byte));
            } else {
                route.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    if route.is_empty() {
        return Err(Error::InvalidArgument("a path must name something".into()));
    }
    Ok(route)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stands_for_itself_in_a_route() {
        let route = |path| in_route(path).unwrap();
        assert_eq!(route(""), "/workspace");
        assert_eq!(route("./src//a b.rs"), "/workspace/src/a%20b.rs");
        assert_eq!(route("/tmp/ä?x=1#y%2e"), "/tmp/%C3%A4%3Fx%3D1%23y%252e");
        assert_eq!(route("/tmp/...\n\0/"), "/tmp/...%0A%00");
        for wrong in ["/", "..", "a/../b", "/tmp/.."] {
            assert!(matches!(in_route(wrong), Err(Error::InvalidArgument(_))), "{wrong}");
        }
    }
}
