//! Table tests of every rule, against `State::step`.
