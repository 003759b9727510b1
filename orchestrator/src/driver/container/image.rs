//! Images: whether one is there, and what matters of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path},
    time::Duration,
};

use serde::Deserialize;
use serde_json::Value;

use super::engine::Engine;
use crate::driver::DriverError;

/// Fetching takes as long as the network does.
const PULL_PATIENCE: Duration = Duration::from_secs(900);

/// What an engine says of an image that it does not have, or of a name that it gives to none.
const UNKNOWN: [&str; 3] = ["no such image", "image not known", "invalid reference format"];
/// With one of them before the first colon, Podman takes a name for a place to read an image from: a
/// file of this machine's, for one.
const PLACES: [&str; 9] = [
    "containers-storage",
    "dir",
    "docker-archive",
    "docker-daemon",
    "oci",
    "oci-archive",
    "ostree",
    "sif",
    "tarball",
];
/// Each of them is a folder in memory.
const MAX_VOLUMES: usize = 16;

/// An image that is there.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Image {
    /// Names exactly this one, whatever its name comes to mean meanwhile.
    pub(super) id: String,
    #[serde(default)]
    config: Option<ImageConfig>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ImageConfig {
    volumes: Option<BTreeMap<String, Value>>,
}

impl Image {
    /// Folders that an engine would give room without a limit.
    ///
    /// # Errors
    /// When there are many, or one can't be named to an engine: it would have no limit then.
    pub(super) fn volumes(&self) -> Result<BTreeSet<String>, DriverError> {
        let volumes = self.config.as_ref().and_then(|config| config.volumes.as_ref());
        let volumes: Option<BTreeSet<_>> =
            volumes.into_iter().flat_map(BTreeMap::keys).map(|volume| plain(volume)).collect();
        volumes.filter(|volumes| volumes.len() <= MAX_VOLUMES).ok_or_else(|| {
            DriverError::Start(format!(
                "the image has volumes with odd names, or more than {MAX_VOLUMES} of them"
            ))
        })
    }
}

/// The path in its shortest form, if it means the same to every engine.
fn plain(path: &str) -> Option<String> {
    let odd = |c: char| c.is_control() || ":,\"".contains(c);
    if !path.starts_with('/') || path.contains(odd) {
        return None;
    }
    let mut plain = String::new();
    for component in Path::new(path).components() {
        match component {
            Component::RootDir => {}
            Component::Normal(name) => {
                plain.push('/');
                plain.push_str(name.to_str()?);
            }
            _ => return None,
        }
    }
    (!plain.is_empty()).then_some(plain)
}

/// Whether it is the name of an image, and not of a place to read one from.
pub(super) fn is_name(name: &str) -> bool {
    !name.contains("//") && name.split_once(':').is_none_or(|(before, _)| !PLACES.contains(&before))
}

/// The image of this name, if it is on this machine.
pub(super) async fn find(engine: &Engine, name: &str) -> Result<Option<Image>, DriverError> {
    if !is_name(name) {
        return Ok(None);
    }
    match engine.ask::<Vec<Image>>(&["image", "inspect", name]).await {
        Ok(images) => Ok(images.into_iter().next()),
        Err(DriverError::Engine { said, .. })
            if UNKNOWN.iter().any(|words| said.to_lowercase().contains(words)) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Sees to it that the image is there, fetched if it may be.
pub(super) async fn get(engine: &Engine, name: &str, may_pull: bool) -> Result<(), DriverError> {
    if find(engine, name).await?.is_some() {
        return Ok(());
    }
    if may_pull && is_name(name) {
        tracing::info!(image = name, engine = engine.name, "image is fetched");
        engine.call(&["pull", "--quiet", name], PULL_PATIENCE).await?;
        return Ok(());
    }
    Err(engine.no_image(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_read_whether_there_are_any_or_not() {
        let volumes = |text: &str| {
            let image: Image = serde_json::from_str(text).unwrap();
            image.volumes().map(Vec::from_iter).ok()
        };
        assert_eq!(volumes(r#"{"Id": "a"}"#), Some(vec![]));
        assert_eq!(volumes(r#"{"Id": "a", "Config": {"Volumes": null}}"#), Some(vec![]));
        let two = r#"{"Id": "a", "Config": {"Volumes": {"/data/": {}, "/var//./lib": {}}}}"#;
        assert_eq!(volumes(two), Some(vec!["/data".to_owned(), "/var/lib".to_owned()]));
        for odd in ["/a:rw", "/a,size=1g", "data", "/", "/a/../b", "/a\\nb", ""] {
            let text = format!(r#"{{"Id": "a", "Config": {{"Volumes": {{"{odd}": {{}}}}}}}}"#);
            assert_eq!(volumes(&text), None, "{odd}");
        }
    }

    #[test]
    fn a_place_on_this_machine_is_no_image() {
        for name in ["alpine", "docker:27", "localhost:5000/dir:1", "ghcr.io/a/oci@sha256:00"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["dir:/etc", "docker-archive:/a.tar", "oci:a:b", "docker://alpine"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
