//! Rows of secrets, as sealed as they come.

use sqlx::FromRow;

use super::{Result, Store};

#[derive(Clone, FromRow)]
pub(crate) struct SecretRow {
    pub(crate) name: String,
    /// Sealed.
    pub(crate) value: String,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

impl Store {
    /// Adds a secret. `false`: there is one of that name.
    pub(crate) async fn insert_secret(&self, name: &str, value: &str, now: i64) -> Result<bool> {
        let inserted = sqlx::query(
            "INSERT INTO secrets (name, value, created_at, updated_at) VALUES (?1, ?2, ?3, ?3)
             ON CONFLICT DO NOTHING",
        )
        .bind(name)
        .bind(value)
        .bind(now)
        .execute(&self.write)
        .await?;
        Ok(inserted.rows_affected() == 1)
    }

    /// Gives a secret another value. `None`: there is none of that name.
    pub(crate) async fn update_secret(
        &self,
        name: &str,
        value: &str,
        now: i64,
    ) -> Result<Option<SecretRow>> {
        Ok(sqlx::query_as(
            "UPDATE secrets SET value = ?2, updated_at = ?3 WHERE name = ?1
             RETURNING name, value, created_at, updated_at",
        )
        .bind(name)
        .bind(value)
        .bind(now)
        .fetch_optional(&self.write)
        .await?)
    }

    /// `false`: there was none.
    pub(crate) async fn delete_secret(&self, name: &str) -> Result<bool> {
        let deleted = sqlx::query("DELETE FROM secrets WHERE name = ?1")
            .bind(name)
            .execute(&self.write)
            .await?;
        Ok(deleted.rows_affected() == 1)
    }

    pub(crate) async fn secret(&self, name: &str) -> Result<Option<SecretRow>> {
        Ok(sqlx::query_as(
            "SELECT name, value, created_at, updated_at FROM secrets WHERE name = ?1",
        )
        .bind(name)
        .fetch_optional(&self.read)
        .await?)
    }

    /// All of them, by name.
    pub(crate) async fn secrets(&self) -> Result<Vec<SecretRow>> {
        Ok(sqlx::query_as("SELECT name, value, created_at, updated_at FROM secrets ORDER BY name")
            .fetch_all(&self.read)
            .await?)
    }
}
