//! Checks that the books balance.

use crate::{Backend, Error, db::args};

/// What an audit looked at and what it found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Accounts in the books. An audit that looked at nothing proves nothing.
    pub accounts: u64,
    /// Turns in the books.
    pub turns: u64,
    /// Every contradiction, one sentence each. Empty when the books balance.
    pub problems: Vec<String>,
}

/// A check: what it means when a row comes back, and the query for such rows.
struct Check {
    problem: &'static str,
    sql: &'static str,
}

const CHECKS: &[Check] = &[
    Check {
        problem: "posted is not the sum of the ledger, account",
        sql: "SELECT a.id FROM accounts a WHERE a.posted <>
              (SELECT CAST(COALESCE(SUM(l.amount), 0) AS BIGINT) FROM ledger l WHERE l.account_id = a.id)",
    },
    Check {
        problem: "held is not the sum of the open holds, account",
        sql: "SELECT a.id FROM accounts a WHERE a.held <>
              (SELECT CAST(COALESCE(SUM(h.amount), 0) AS BIGINT) FROM holds h
               WHERE h.account_id = a.id AND h.state = 'open')",
    },
    Check {
        problem: "more is held than there is, account",
        sql: "SELECT id FROM accounts WHERE held < 0 OR held > posted",
    },
    Check {
        problem: "no hold was ever made for turn",
        sql: "SELECT t.id FROM turns t WHERE NOT EXISTS
              (SELECT 1 FROM holds h WHERE h.turn_id = t.id AND h.account_id = t.account_id)",
    },
    Check {
        problem: "the hold is open although the turn has ended, or closed although it runs, turn",
        sql: "SELECT t.id FROM turns t JOIN holds h ON h.turn_id = t.id
              WHERE (h.state = 'open') <> (t.state IN ('provisioning', 'running'))",
    },
    Check {
        problem: "more was charged than held, turn",
        sql: "SELECT h.turn_id FROM holds h JOIN ledger l ON l.turn_id = h.turn_id
              WHERE -l.amount > h.amount",
    },
    Check {
        problem: "a voided or open hold was charged, turn",
        sql: "SELECT h.turn_id FROM holds h JOIN ledger l ON l.turn_id = h.turn_id
              WHERE h.state <> 'settled'",
    },
    Check {
        problem: "the debit is not what the usage says, turn",
        sql: "SELECT u.turn_id FROM usage u WHERE u.charged <>
              (SELECT CAST(COALESCE(-SUM(l.amount), 0) AS BIGINT) FROM ledger l
               WHERE l.turn_id = u.turn_id)",
    },
    Check {
        problem: "billed without metered usage, turn",
        sql: "SELECT h.turn_id FROM holds h WHERE h.state = 'settled' AND NOT EXISTS
              (SELECT 1 FROM usage u WHERE u.turn_id = h.turn_id)",
    },
    Check {
        problem: "the turn has ended without an answer in its chat, turn",
        sql: "SELECT t.id FROM turns t JOIN chats c ON c.id = t.chat_id
              WHERE t.ended_at IS NOT NULL AND c.deleted_at IS NULL AND NOT EXISTS
              (SELECT 1 FROM messages m WHERE m.turn_id = t.id AND m.role = 'assistant')",
    },
];

impl Backend {
    /// Checks the invariants of the books against all rows.
    ///
    /// # Errors
    /// When the database does not answer. A contradiction is not an error but a finding.
    pub async fn audit(&self) -> Result<Audit, Error> {
        let mut audit = Audit {
            accounts: self.count("SELECT COUNT(*) FROM accounts").await?,
            turns: self.count("SELECT COUNT(*) FROM turns").await?,
            problems: Vec::new(),
        };
        for check in CHECKS {
            let rows: Vec<(String,)> = self.db().all(check.sql, args![]).await?;
            audit.problems.extend(rows.into_iter().map(|(id,)| format!("{} {id}", check.problem)));
        }
        Ok(audit)
    }

    async fn count(&self, sql: &'static str) -> Result<u64, Error> {
        let row: Option<(i64,)> = self.db().optional(sql, args![]).await?;
        Ok(row.map_or(0, |(count,)| u64::try_from(count).unwrap_or(0)))
    }
}
