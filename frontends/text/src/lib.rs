//! Tokenizers and chat templates behind one small C ABI. README.md of this folder says what is where.

mod abi;
mod chat;
mod clock;
mod error;
mod gguf_vocab;
mod json_text;
mod pre_tokenizers;
mod sandbox;
mod tokenizer;
