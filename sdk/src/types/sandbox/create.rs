//! What is asked of a sandbox: when it is made, and later.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use super::{
    super::{BackendChoice, Extra},
    git::{self, GitSource},
};

/// Body of `POST /v1/sandboxes`. Everything has a default.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CreateSandbox {
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Container image, where the driver knows images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Added to the environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Limits; absent ones are the driver's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Stops after so long without use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_seconds: Option<u64>,
    /// Ends for good after so long from its first start, used or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lifetime_seconds: Option<u64>,
    /// The same key again answers with the sandbox made the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Whatever the product wants to keep with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<serde_json::Value>,
    /// Agent and model of turns that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<BackendChoice>,
    /// Names of stored secrets, each an environment variable with its value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Cloned into its workspace before its first use.
    #[serde(default, deserialize_with = "git::asked", skip_serializing_if = "Option::is_none")]
    pub git: Option<GitSource>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Without what may be secret: values of the environment, the backend, and whatever else came.
impl fmt::Debug for CreateSandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateSandbox")
            .field("name", &self.name)
            .field("image", &self.image)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("resources", &self.resources)
            .field("idle_timeout_seconds", &self.idle_timeout_seconds)
            .field("max_lifetime_seconds", &self.max_lifetime_seconds)
            .field("idempotency_key", &self.idempotency_key)
            .field("secrets", &self.secrets)
            .field("git", &self.git)
            .finish_non_exhaustive()
    }
}

/// Limits of a sandbox; reads the spellings of both APIs, also at once if they say the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Resources {
    #[serde(rename = "cpuCores", default, skip_serializing_if = "Option::is_none")]
    pub cpu_cores: Option<f64>,
    #[serde(rename = "memoryMB", default, skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u64>,
    #[serde(rename = "diskGB", default, skip_serializing_if = "Option::is_none")]
    pub disk_gb: Option<f64>,
    /// Mebibytes of disk, instead of `disk_gb`.
    #[serde(rename = "storageMb", default, skip_serializing_if = "Option::is_none")]
    pub storage_mb: Option<u64>,
    /// Only with limits that the kernel itself keeps: refused where one of these is not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
    #[serde(flatten)]
    pub extra: Extra,
}

/// [`Resources`] in every spelling.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Spelled {
    #[serde(rename = "cpuCores")]
    cpu_cores: Option<f64>,
    cpu: Option<f64>,
    #[serde(rename = "memoryMB")]
    memory_mb: Option<u64>,
    #[serde(rename = "memoryMb")]
    memory_megabytes: Option<u64>,
    memory: Option<u64>,
    #[serde(rename = "diskGB")]
    disk_gb: Option<f64>,
    #[serde(rename = "storageMb")]
    storage_mb: Option<u64>,
    #[serde(rename = "storageMB")]
    storage_megabytes: Option<u64>,
    storage: Option<u64>,
    strict: bool,
    #[serde(flatten)]
    extra: Extra,
}

impl<'de> Deserialize<'de> for Resources {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let read = Spelled::deserialize(source)?;
        let memory = [read.memory_mb, read.memory_megabytes, read.memory];
        let storage = [read.storage_mb, read.storage_megabytes, read.storage];
        Ok(Self {
            cpu_cores: one("cpuCores", &[read.cpu_cores, read.cpu]).map_err(D::Error::custom)?,
            memory_mb: one("memoryMB", &memory).map_err(D::Error::custom)?,
            disk_gb: read.disk_gb,
            storage_mb: one("storageMb", &storage).map_err(D::Error::custom)?,
            strict: read.strict,
            extra: read.extra,
        })
    }
}

/// What the spellings of a name say, if it is one thing.
fn one<T: Copy + PartialEq>(name: &str, spellings: &[Option<T>]) -> Result<Option<T>, String> {
    let mut given = spellings.iter().copied().flatten();
    let first = given.next();
    if given.all(|next| Some(next) == first) {
        Ok(first)
    } else {
        Err(format!("{name} is given in two spellings that do not say the same"))
    }
}

/// Body of `PATCH /v1/sandboxes/{id}`: what changes; the rest stays. It also counts as use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct UpdateSandbox {
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Stops after so long without use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_seconds: Option<u64>,
    /// Ends for good after so long from its first start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lifetime_seconds: Option<u64>,
    /// Instead of what was kept with it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<serde_json::Value>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Body of `POST /projects`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CreateProject {
    /// Chosen by the caller: `sandbox-` and 12 hexadecimal digits. Absent: the orchestrator
    /// chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_ref: Option<String>,
    /// What the sandbox is made from.
    #[serde(default)]
    pub container: ProjectContainer,
    /// Agent to set up, as the orchestrator knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<BackendChoice>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// What a project's sandbox is made from.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProjectContainer {
    /// Container image, where the driver knows images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Added to the environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    #[serde(flatten)]
    pub extra: Extra,
}

/// Without what may be secret: the backend, and whatever else came.
impl fmt::Debug for CreateProject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateProject")
            .field("project_ref", &self.project_ref)
            .field("container", &self.container)
            .finish_non_exhaustive()
    }
}

/// Without the values of the environment.
impl fmt::Debug for ProjectContainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProjectContainer")
            .field("image", &self.image)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_spellings_at_once_are_read_as_one_if_they_say_the_same() {
        let read = |resources| serde_json::from_value::<Resources>(resources);
        let both = json!({
            "cpu": 2, "cpuCores": 2, "memory": 512, "memoryMB": 512, "memoryMb": null,
            "storage": 64, "storageMB": 64, "storageMb": 64, "gpu": 1,
        });
        let both = read(both).unwrap();
        assert_eq!((both.cpu_cores, both.memory_mb), (Some(2.0), Some(512)));
        assert_eq!(both.extra.keys().collect::<Vec<_>>(), ["gpu"]);
        let written = serde_json::to_value(&both).unwrap();
        assert_eq!(written, json!({"cpuCores": 2.0, "memoryMB": 512, "storageMb": 64, "gpu": 1}));
        let refused = read(json!({"cpu": 1, "cpuCores": 2})).unwrap_err().to_string();
        assert!(refused.contains("cpuCores is given in two spellings"), "{refused}");
    }
}
