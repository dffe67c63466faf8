//! Claims about workers: their end, a socket that makes no call, and time.

mod ending;
mod passing;
mod time;
