//! What every function of this crate returns when it cannot do its work.

use std::fmt;

/// The values of `llmc_text_status` in llmc_text.h, without LLMC_TEXT_OK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    Invalid = 1,
    Refused = 2,
    Limit = 3,
    Internal = 4,
}

#[derive(Clone, Debug)]
pub struct Error {
    pub status: Status,
    pub message: String,
}

impl Error {
    pub fn invalid(message: impl Into<String>) -> Error {
        Error { status: Status::Invalid, message: message.into() }
    }

    pub fn limit(message: impl Into<String>) -> Error {
        Error { status: Status::Limit, message: message.into() }
    }

    pub fn internal(message: impl Into<String>) -> Error {
        Error { status: Status::Internal, message: message.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

pub type Result<T> = std::result::Result<T, Error>;
