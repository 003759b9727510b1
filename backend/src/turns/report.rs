//! What the browser says a turn used: kept, compared, and never billed from.

use sandbox_sdk::types::TokenUsage;
use serde_json::json;

use super::row::TurnRow;
use crate::{Account, Backend, Error, Receipt, ReportedUsage, TurnId, TurnStatus, db::args};

/// A difference above this share is worth a look, in percent.
const TOLERANCE_PERCENT: u64 = 5;

impl Backend {
    /// The browser has seen the end of a turn and asks for the bill. Its own figures are stored
    /// beside it (the first report counts) and compared; the bill is the orchestrator's record.
    ///
    /// # Errors
    /// `NotFound`. That the turn has not ended, or that the orchestrator can't be asked now, is no
    /// error: the status has no outcome yet.
    pub async fn complete_turn(
        &self,
        account: &Account,
        turn: &TurnId,
        report: ReportedUsage,
    ) -> Result<TurnStatus, Error> {
        let row = self.owned_turn(account.id(), turn).await?;
        let written = json!({
            "inputTokens": report.input_tokens,
            "outputTokens": report.output_tokens,
            "durationMs": report.duration_ms,
        });
        let first = self
            .db()
            .execute(
                "UPDATE turns SET report = $2 WHERE id = $1 AND report IS NULL",
                args![turn, written.to_string()],
            )
            .await?
            == 1;
        if !row.state.is_final() {
            match self.settle_with(&self.quick_client(), turn).await {
                Ok(_) | Err(Error::Unavailable { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let status = self.turn_status(account, turn).await?;
        let receipt = status.outcome.as_ref().and_then(|outcome| outcome.message.receipt.as_ref());
        if let Some(Receipt { input_tokens, output_tokens, .. }) = receipt
            && first
            && row.state.is_final()
        {
            warn_if_different(turn, &report, *input_tokens, *output_tokens);
        }
        Ok(status)
    }
}

/// Compares what was metered with a report that came before.
pub(super) fn compare(row: &TurnRow, usage: &TokenUsage) {
    let Some(report) = row.report.as_deref() else { return };
    let Ok(report) = serde_json::from_str::<serde_json::Value>(report) else { return };
    let report = ReportedUsage {
        input_tokens: report["inputTokens"].as_u64(),
        output_tokens: report["outputTokens"].as_u64(),
        duration_ms: report["durationMs"].as_u64(),
    };
    let cached = [usage.cache_read_input_tokens, usage.cache_creation_input_tokens];
    let input = cached.into_iter().flatten().fold(usage.input_tokens, u64::saturating_add);
    warn_if_different(&row.id, &report, input, usage.output_tokens);
}

fn warn_if_different(turn: &TurnId, report: &ReportedUsage, input: u64, output: u64) {
    let differs = differs(report.input_tokens, input) || differs(report.output_tokens, output);
    if differs {
        tracing::warn!(
            %turn,
            metered_input = input,
            metered_output = output,
            reported_input = report.input_tokens,
            reported_output = report.output_tokens,
            "the browser saw another usage than was metered"
        );
    }
}

fn differs(reported: Option<u64>, metered: u64) -> bool {
    let Some(reported) = reported else { return false };
    let difference = u128::from(reported.abs_diff(metered));
    difference * 100 > u128::from(metered) * u128::from(TOLERANCE_PERCENT)
}

#[cfg(test)]
mod tests {
    use super::differs;

    #[test]
    fn a_twentieth_more_or_less_is_the_same_usage() {
        assert!(!differs(None, 100));
        assert!(!differs(Some(105), 100));
        assert!(!differs(Some(95), 100));
        assert!(differs(Some(106), 100));
        assert!(differs(Some(94), 100));
        assert!(differs(Some(1), 0));
        assert!(differs(Some(u64::MAX), u64::MAX / 2));
    }
}
