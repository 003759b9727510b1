//! Where snapshots are kept, and how many.

use secrecy::SecretString;

/// Largest snapshot, in MB.
const LARGEST_MB: u64 = 4096;
/// Of all snapshots in the local folder, in MB.
const TOTAL_MB: u64 = 65_536;

/// Places and limits of snapshots. Without a bucket they are files in `snapshots/` of the
/// orchestrator's folder.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Snapshots")]
pub struct SnapshotsConfig {
    /// Largest snapshot as it is kept, packed, in MB.
    #[arg(
        long = "snapshot-mb",
        env = "SKEIN_SNAPSHOT_MB",
        default_value_t = LARGEST_MB,
        value_parser = clap::value_parser!(u64).range(1..=65_536)
    )]
    pub largest_mb: u64,
    /// Size of all snapshots in the local folder together, in MB.
    #[arg(long = "snapshots-total-mb", env = "SKEIN_SNAPSHOTS_TOTAL_MB", default_value_t = TOTAL_MB)]
    pub total_mb: u64,
    /// Days after which a snapshot is removed [default: never].
    #[arg(
        long = "snapshot-days",
        env = "SKEIN_SNAPSHOT_DAYS",
        value_parser = clap::value_parser!(u64).range(1..=36_500)
    )]
    pub days: Option<u64>,
    /// Bucket that snapshots are kept in, instead of the local folder.
    #[arg(long = "snapshots-s3-bucket", env = "SKEIN_SNAPSHOTS_S3_BUCKET")]
    pub s3_bucket: Option<String>,
    /// Base URL of the bucket's service [default: Amazon S3 in the bucket's region].
    #[arg(long = "snapshots-s3-endpoint", env = "SKEIN_SNAPSHOTS_S3_ENDPOINT")]
    pub s3_endpoint: Option<String>,
    /// Region of the bucket.
    #[arg(
        long = "snapshots-s3-region",
        env = "SKEIN_SNAPSHOTS_S3_REGION",
        default_value = "us-east-1"
    )]
    pub s3_region: String,
    /// Name of the key that opens the bucket.
    #[arg(long = "snapshots-s3-access-key-id", env = "SKEIN_SNAPSHOTS_S3_ACCESS_KEY_ID")]
    pub s3_access_key_id: Option<String>,
    /// The key itself.
    #[arg(
        long = "snapshots-s3-secret-access-key",
        env = "SKEIN_SNAPSHOTS_S3_SECRET_ACCESS_KEY",
        hide_env_values = true
    )]
    pub s3_secret_access_key: Option<SecretString>,
    /// What the names of all objects in the bucket begin with.
    #[arg(long = "snapshots-s3-prefix", env = "SKEIN_SNAPSHOTS_S3_PREFIX", default_value = "")]
    pub s3_prefix: String,
    /// Services in private networks, or without TLS, that callers may name as their storage:
    /// `http://minio.internal:9000`. All others must be `https` at public addresses.
    #[arg(long = "snapshot-endpoints", env = "SKEIN_SNAPSHOT_ENDPOINTS", value_delimiter = ',')]
    pub endpoints: Vec<String>,
}

impl Default for SnapshotsConfig {
    fn default() -> Self {
        Self {
            largest_mb: LARGEST_MB,
            total_mb: TOTAL_MB,
            days: None,
            s3_bucket: None,
            s3_endpoint: None,
            s3_region: "us-east-1".to_owned(),
            s3_access_key_id: None,
            s3_secret_access_key: None,
            s3_prefix: String::new(),
            endpoints: Vec::new(),
        }
    }
}
