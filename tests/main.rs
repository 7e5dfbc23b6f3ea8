#![allow(clippy::disallowed_methods, reason = "tests start what they test")]

mod connect;
