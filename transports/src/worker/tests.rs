//! Claims about workers: a socket that makes no call, and time.

mod passing;
mod time;
