//! Ports of sandboxes that can be reached from outside.

use sqlx::FromRow;

use super::{Result, Store};

/// Ports of one sandbox at once.
pub(crate) const MAX_PORTS: usize = 16;

/// One port that is open to the outside.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(crate) struct ExposedPort {
    /// Given once, and to no other port ever.
    pub(crate) key: i64,
    pub(crate) sandbox_id: String,
    pub(crate) port: u16,
}

impl Store {
    /// Opens a port; one that is open stays as it is. Whether it was opened now; `None`: the sandbox
    /// has too many.
    pub(crate) async fn expose_port(
        &self,
        sandbox: &str,
        port: u16,
    ) -> Result<Option<(ExposedPort, bool)>> {
        let inserted = sqlx::query(
            "INSERT INTO exposed_ports (sandbox_id, port)
             SELECT ?1, ?2 WHERE (SELECT COUNT(*) FROM exposed_ports WHERE sandbox_id = ?1) < ?3
             ON CONFLICT DO NOTHING",
        )
        .bind(sandbox)
        .bind(port)
        .bind(i64::try_from(MAX_PORTS).unwrap_or(i64::MAX))
        .execute(&self.write)
        .await?;
        let is_new = inserted.rows_affected() == 1;
        let exposed = self.exposed_ports(sandbox).await?.into_iter();
        Ok(exposed.map(|exposed| (exposed, is_new)).find(|(exposed, _)| exposed.port == port))
    }

    /// The sandbox's open ports, in order.
    pub(crate) async fn exposed_ports(&self, sandbox: &str) -> Result<Vec<ExposedPort>> {
        Ok(sqlx::query_as(
            "SELECT key, sandbox_id, port FROM exposed_ports WHERE sandbox_id = ?1 ORDER BY port",
        )
        .bind(sandbox)
        .fetch_all(&self.read)
        .await?)
    }

    pub(crate) async fn exposed_port(&self, key: i64) -> Result<Option<ExposedPort>> {
        Ok(sqlx::query_as("SELECT key, sandbox_id, port FROM exposed_ports WHERE key = ?1")
            .bind(key)
            .fetch_optional(&self.read)
            .await?)
    }

    /// Closes a port. Its key, if it was open.
    pub(crate) async fn close_port(&self, sandbox: &str, port: u16) -> Result<Option<i64>> {
        Ok(sqlx::query_scalar(
            "DELETE FROM exposed_ports WHERE sandbox_id = ?1 AND port = ?2 RETURNING key",
        )
        .bind(sandbox)
        .bind(port)
        .fetch_optional(&self.write)
        .await?)
    }
}
