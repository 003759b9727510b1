//! What a sandbox may use.

use serde::{Deserialize, Serialize};

use super::DriverError;

/// Upper bounds for one sandbox, all its processes together unless said otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Mebibytes.
    pub memory_mb: u64,
    pub processes: u64,
    /// Share of the machine, in cores.
    pub cpu_cores: f64,
    /// Mebibytes in `/workspace` and `/home/agent` together.
    pub disk_mb: u64,
    /// Mebibytes in one file.
    pub max_file_mb: u64,
    /// Open files of one process.
    pub open_files: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // What the hungriest agent needs for itself, and as much for what it runs. Nothing of it is
            // set aside: a sandbox takes what it uses.
            memory_mb: 2048,
            // Threads count, too.
            processes: 256,
            cpu_cores: 2.0,
            disk_mb: 1024,
            max_file_mb: 256,
            open_files: 1024,
        }
    }
}

impl Limits {
    /// Mebibytes of each folder that is kept in memory, as `/tmp` is.
    pub(super) fn tmpfs_mb(&self) -> u64 {
        (self.memory_mb / 4).max(16)
    }

    /// Refuses limits that no sandbox could live with, and ones that limit nothing.
    pub(super) fn validate(&self) -> Result<(), DriverError> {
        let bounds = [
            ("memoryMb", self.memory_mb, 32, 1 << 20),
            ("processes", self.processes, 8, 1 << 15),
            ("diskMb", self.disk_mb, 1, 1 << 24),
            ("maxFileMb", self.max_file_mb, 1, 1 << 24),
            ("openFiles", self.open_files, 64, 1 << 20),
        ];
        for (name, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                return Err(DriverError::InvalidSpec(format!(
                    "limit {name} is {value}, it must be between {least} and {most}"
                )));
            }
        }
        if !(0.01..=1024.0).contains(&self.cpu_cores) {
            return Err(DriverError::InvalidSpec(format!(
                "limit cpuCores is {}, it must be between 0.01 and 1024",
                self.cpu_cores
            )));
        }
        Ok(())
    }
}
