//! Money: grants, holds, debits. Every function is one step of a caller's transaction.
//!
//! An entry moves micro-credits between the house and one account; the house is the other side of
//! every entry, so that all sides always sum to zero. Entries are never changed or removed; each has
//! a unique reference. `accounts.posted` is the sum of an account's entries and `accounts.held` that
//! of its open holds, both kept in the transaction that changes them.

mod audit;

use uuid::Uuid;

pub use audit::Audit;

use crate::{
    AccountId, Credits, Error, TurnId,
    clock::now_ms,
    db::{Transaction, args},
};

/// What an account has free; its row stays locked until the transaction ends.
pub(crate) async fn lock_available(
    tx: &mut Transaction,
    account: &AccountId,
) -> Result<Credits, Error> {
    let row: Option<(i64, i64)> = tx
        .optional(
            "UPDATE accounts SET held = held WHERE id = $1 RETURNING posted, held",
            args![account],
        )
        .await?;
    // No row, no credits.
    let (posted, held) = row.unwrap_or_default();
    Credits::from_micros(posted).minus(Credits::from_micros(held))
}

/// Gives credits to an account. The same reference again does nothing. Answers whether it gave.
pub(crate) async fn grant(
    tx: &mut Transaction,
    account: &AccountId,
    amount: Credits,
    reference: &str,
) -> Result<bool, Error> {
    if amount <= Credits::ZERO {
        return Ok(false);
    }
    let entry = Entry { account, kind: "grant", amount, reference, turn: None };
    if !entry.append(tx).await? {
        return Ok(false);
    }
    let changed = tx
        .execute("UPDATE accounts SET posted = posted + $2 WHERE id = $1", args![account, amount])
        .await?;
    expect_one(changed, "grant to an unknown account")?;
    Ok(true)
}

/// Sets `amount` aside for a turn, if the account has it. Answers whether it had.
pub(crate) async fn hold(
    tx: &mut Transaction,
    account: &AccountId,
    turn: &TurnId,
    amount: Credits,
) -> Result<bool, Error> {
    let changed = tx
        .execute(
            "UPDATE accounts SET held = held + $2 WHERE id = $1 AND posted - held >= $2",
            args![account, amount],
        )
        .await?;
    if changed == 0 {
        return Ok(false);
    }
    tx.execute(
        "INSERT INTO holds (turn_id, account_id, amount, state, created_at)
         VALUES ($1, $2, $3, 'open', $4)",
        args![turn, account, amount, now_ms()],
    )
    .await?;
    Ok(true)
}

/// Closes a turn's hold, once: with a charge of at most the hold, or without one. Answers what is
/// free then, or nothing when the hold was closed before.
pub(crate) async fn close_hold(
    tx: &mut Transaction,
    turn: &TurnId,
    charge: Option<Credits>,
) -> Result<Option<Credits>, Error> {
    let state = if charge.is_some() { "settled" } else { "voided" };
    let closed: Option<(String, i64)> = tx
        .optional(
            "UPDATE holds SET state = $2, closed_at = $3 WHERE turn_id = $1 AND state = 'open'
             RETURNING account_id, amount",
            args![turn, state, now_ms()],
        )
        .await?;
    let Some((account, held)) = closed else { return Ok(None) };
    let account = AccountId::try_from(account)?;
    let charge = charge.unwrap_or(Credits::ZERO);
    if charge < Credits::ZERO || charge.micros() > held {
        return Err(Error::broken("a charge beyond the hold"));
    }
    if charge > Credits::ZERO {
        let entry = Entry {
            account: &account,
            kind: "turn",
            amount: Credits::ZERO.minus(charge)?,
            reference: &format!("turn:{turn}"),
            turn: Some(turn),
        };
        if !entry.append(tx).await? {
            return Err(Error::broken("a turn that was billed while its hold was open"));
        }
    }
    let (posted, held): (i64, i64) = tx
        .one(
            "UPDATE accounts SET posted = posted - $2, held = held - $3 WHERE id = $1
             RETURNING posted, held",
            args![&account, charge, held],
        )
        .await?;
    Credits::from_micros(posted).minus(Credits::from_micros(held)).map(Some)
}

struct Entry<'a> {
    account: &'a AccountId,
    kind: &'static str,
    amount: Credits,
    reference: &'a str,
    turn: Option<&'a TurnId>,
}

impl Entry<'_> {
    /// Answers whether the reference was new.
    async fn append(&self, tx: &mut Transaction) -> Result<bool, Error> {
        let added = tx
            .execute(
                "INSERT INTO ledger (id, account_id, kind, amount, reference, turn_id, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (reference) DO NOTHING",
                args![
                    Uuid::now_v7().to_string(),
                    self.account,
                    self.kind,
                    self.amount,
                    self.reference,
                    self.turn.map(TurnId::as_str),
                    now_ms()
                ],
            )
            .await?;
        Ok(added == 1)
    }
}

fn expect_one(changed: u64, what: &str) -> Result<(), Error> {
    if changed == 1 { Ok(()) } else { Err(Error::broken(what)) }
}
