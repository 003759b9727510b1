//! The list of chats, by the day of their last message.

use crate::model::ChatSummary;

const DAY: i64 = 24 * 60 * 60 * 1000;

/// Chats under the heading of their day, the newest first. `zone_ms` turns a time into the person's
/// own.
pub fn by_day(
    mut chats: Vec<ChatSummary>,
    now: i64,
    zone_ms: i64,
) -> Vec<(&'static str, Vec<ChatSummary>)> {
    chats.sort_by_key(|chat| std::cmp::Reverse(chat.updated_at));
    let day = |time: i64| (time + zone_ms).div_euclid(DAY);
    let mut groups: Vec<(&'static str, Vec<ChatSummary>)> = Vec::new();
    for chat in chats {
        let heading = match day(now) - day(chat.updated_at) {
            ..=0 => "Today",
            1 => "Yesterday",
            2..=7 => "Previous 7 days",
            8..=30 => "Previous 30 days",
            _ => "Earlier",
        };
        match groups.last_mut().filter(|(last, _)| *last == heading) {
            Some((_, chats)) => chats.push(chat),
            None => groups.push((heading, vec![chat])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(id: &str, updated_at: i64) -> ChatSummary {
        ChatSummary { id: id.into(), title: id.into(), updated_at, running: false }
    }

    fn headings(chats: Vec<ChatSummary>, now: i64, zone_ms: i64) -> Vec<String> {
        let name = |(heading, chats): (&str, Vec<ChatSummary>)| {
            let ids: Vec<_> = chats.iter().map(|chat| chat.id.as_str()).collect();
            format!("{heading}: {}", ids.join(" "))
        };
        by_day(chats, now, zone_ms).into_iter().map(name).collect()
    }

    #[test]
    fn chats_stand_under_their_day_the_newest_first() {
        let now = 100 * DAY + 1000;
        let chats = vec![
            chat("old", DAY),
            chat("yesterday", 99 * DAY),
            chat("now", now),
            chat("morning", 100 * DAY),
            chat("week", 93 * DAY),
            chat("month", 80 * DAY),
        ];
        assert_eq!(
            headings(chats, now, 0),
            [
                "Today: now morning",
                "Yesterday: yesterday",
                "Previous 7 days: week",
                "Previous 30 days: month",
                "Earlier: old",
            ]
        );
    }

    #[test]
    fn the_day_is_the_person_s_own() {
        let hour = 60 * 60 * 1000;
        let chats = || vec![chat("a", 100 * DAY - hour)];
        assert_eq!(headings(chats(), 100 * DAY + hour, 0), ["Yesterday: a"]);
        assert_eq!(headings(chats(), 100 * DAY + hour, 2 * hour), ["Today: a"]);
    }

    #[test]
    fn a_time_ahead_of_the_clock_is_today() {
        assert_eq!(headings(vec![chat("a", 5 * DAY)], DAY, 0), ["Today: a"]);
    }
}
