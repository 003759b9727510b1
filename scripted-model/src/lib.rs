//! A model server for tests: the prompt says what it answers.
