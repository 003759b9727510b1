//! Requests and answers of both formats.
