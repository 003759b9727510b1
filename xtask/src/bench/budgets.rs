//! What each figure may come to, and what others come to.

/// How a figure is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Bytes, shown as kilobytes of 1000.
    Kilobytes,
    /// Bytes, shown as megabytes of 1000.
    Megabytes,
    Milliseconds,
    Microseconds,
    Count,
    /// Thousands a second.
    Rate,
    /// How many times as much.
    Ratio,
}

/// A row of the table.
#[derive(Debug)]
pub(super) struct Row {
    /// The figure's name, as the benches report it.
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) unit: Unit,
    /// In the unit that is shown.
    pub(super) budget: Option<f64>,
    pub(super) baseline: &'static str,
}

const fn row(
    name: &'static str,
    label: &'static str,
    unit: Unit,
    budget: Option<f64>,
    baseline: &'static str,
) -> Row {
    Row { name, label, unit, budget, baseline }
}

use Unit::{Count, Kilobytes, Megabytes, Microseconds, Milliseconds, Rate, Ratio};

/// All rows, in the order of the table.
#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row("first_load_total", "first load of /, on the wire", Kilobytes, Some(280.0), "vercel/chatbot 1300 KB gzip (JS); chat-ui 342"),
    row("first_load_wasm", "  wasm", Kilobytes, Some(250.0), ""),
    row("first_load_js", "  js", Kilobytes, None, ""),
    row("first_load_css", "  css", Kilobytes, None, ""),
    row("first_load_html", "  html", Kilobytes, None, ""),
    row("first_load_font", "  fonts", Kilobytes, None, ""),
    row("first_load_other", "  other", Kilobytes, None, ""),
    row("module_compiled", "module, as compiled", Kilobytes, None, ""),
    row("module_optimised", "module, after wasm-opt", Kilobytes, None, ""),
    row("module_gzip", "module, gzip", Kilobytes, None, ""),
    row("module_brotli", "module, brotli", Kilobytes, None, ""),
    row("part_optimised", "part for conversations, after wasm-opt", Kilobytes, None, ""),
    row("part_brotli", "part for conversations, brotli", Kilobytes, None, ""),
    row("lcp_1x", "LCP, warm server", Milliseconds, Some(800.0), "vercel/chatbot 2600–4300"),
    row("lcp_4x", "LCP, CPU 4 times slower", Milliseconds, Some(2000.0), "vercel/chatbot 5200–7000"),
    row("start_turn_p50", "start_turn p50", Milliseconds, None, "seed ~200"),
    row("start_turn_p99", "start_turn p99", Milliseconds, Some(20.0), ""),
    row("refresh_token_p50", "refresh_token p50", Milliseconds, None, "seed ~50"),
    row("refresh_token_p99", "refresh_token p99", Milliseconds, Some(5.0), ""),
    row("complete_turn_p50", "complete_turn p50", Milliseconds, None, "seed ~100"),
    row("complete_turn_p99", "complete_turn p99", Milliseconds, Some(15.0), ""),
    row("turn_status_p50", "turn_status p50", Milliseconds, None, ""),
    row("turn_status_p99", "turn_status p99", Milliseconds, None, ""),
    row("stop_turn_p50", "stop_turn (ended turn) p50", Milliseconds, None, ""),
    row("stop_turn_p99", "stop_turn (ended turn) p99", Milliseconds, None, ""),
    row("balance_p50", "balance p50", Milliseconds, None, ""),
    row("balance_p99", "balance p99", Milliseconds, None, ""),
    row("list_chats_p50", "list_chats p50", Milliseconds, None, ""),
    row("list_chats_p99", "list_chats p99", Milliseconds, None, ""),
    row("open_chat_p50", "open_chat (of 200 messages) p50", Milliseconds, None, ""),
    row("open_chat_p99", "open_chat (of 200 messages) p99", Milliseconds, None, ""),
    row("rename_chat_p50", "rename_chat p50", Milliseconds, None, ""),
    row("rename_chat_p99", "rename_chat p99", Milliseconds, None, ""),
    row("create_running_p50", "sandbox: create → running p50", Milliseconds, None, "Docker ≈ 1000"),
    row("create_running_p95", "sandbox: create → running p95", Milliseconds, Some(150.0), ""),
    row("first_words_demo_cold", "first words: demo, new sandbox", Milliseconds, None, ""),
    row("first_words_demo_warm", "first words: demo, next turn", Milliseconds, None, ""),
    row("first_words_skein_cold", "first words: skein, new sandbox", Milliseconds, None, ""),
    row("first_words_skein_warm", "first words: skein, next turn", Milliseconds, None, ""),
    row("first_words_claude-code_cold", "first words: claude-code, new sandbox", Milliseconds, None, "by itself ~1100"),
    row("first_words_claude-code_warm", "first words: claude-code, next turn", Milliseconds, None, ""),
    row("first_words_codex_cold", "first words: codex, new sandbox", Milliseconds, None, "by itself ~650"),
    row("first_words_codex_warm", "first words: codex, next turn", Milliseconds, None, ""),
    row("first_words_opencode_cold", "first words: opencode, new sandbox", Milliseconds, None, "by itself ~5000"),
    row("first_words_opencode_warm", "first words: opencode, next turn", Milliseconds, None, ""),
    row("gateway_request_straight", "a request, straight to the model", Milliseconds, None, ""),
    row("gateway_request_through", "a request, through the model gateway", Milliseconds, None, ""),
    row("gateway_request_ratio", "  ratio", Ratio, None, ""),
    row("gateway_token_straight", "a token, straight to the model", Microseconds, None, ""),
    row("gateway_token_through", "a token, through the model gateway", Microseconds, None, ""),
    row("gateway_token_ratio", "  ratio", Ratio, None, ""),
    row("gateway_sockets", "session gateway: sockets held and served", Count, None, "Centrifugo 50000 a pod"),
    row("gateway_socket_memory", "  memory of an idle one", Kilobytes, Some(20.0), ""),
    row("gateway_fan_out_1", "  events to 1 viewer", Rate, None, ""),
    row("gateway_fan_out_100", "  events to 100 viewers, all together", Rate, None, ""),
    row("gateway_fan_out_1000", "  events to 1000 viewers, all together", Rate, None, ""),
    row("gateway_breadth", "  events to 1000 viewers of 200 sessions", Rate, None, ""),
    row("gateway_replay_rate", "  replay, events", Rate, Some(100.0), ""),
    row("log_append_p50", "append to a log p50", Microseconds, None, ""),
    row("log_append_p99", "append to a log p99", Microseconds, None, ""),
    row("exec_p50", "a command in a sandbox, there and back p50", Milliseconds, None, ""),
    row("exec_p95", "a command in a sandbox, there and back p95", Milliseconds, None, ""),
    row("sandbox_idle_memory", "memory of an idle sandbox", Megabytes, None, ""),
    row("first_delta_p50", "Send → first delta in the DOM p50", Milliseconds, None, ""),
    row("first_delta_p95", "Send → first delta in the DOM p95", Milliseconds, Some(100.0), ""),
    row("stream_cpu", "24 k characters streamed: CPU", Milliseconds, Some(4000.0), "streamdown 2.7: 8600"),
    row("stream_worst_task", "24 k characters streamed: worst task", Milliseconds, Some(80.0), "streamdown 2.7: 398"),
    row("stream_heap", "24 k characters streamed: heap", Megabytes, Some(10.0), "streamdown 2.7: 46"),
    row("thread_load", "300 messages: load", Milliseconds, Some(400.0), "LibreChat 2900"),
    row("thread_nodes", "300 messages: DOM nodes", Count, Some(12_000.0), "LibreChat 121000"),
    row("thread_nodes_all", "300 messages, scrolled all the way up: DOM nodes", Count, None, ""),
    row("thread_heap", "300 messages: heap", Megabytes, Some(50.0), "LibreChat 271"),
];
