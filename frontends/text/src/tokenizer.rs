//! A Hugging Face tokenizer.json: loading it with care, encoding, decoding, decoding token by token.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::gguf_vocab;
use crate::sandbox::{self, Limits};

/// Bytes of a definition: the largest published ones have about 35 MB.
const MAX_DEFINITION_BYTES: usize = 128 << 20;
/// Bytes of text per call: two million tokens of English.
const MAX_TEXT_BYTES: usize = 8 << 20;
/// Bytes that normalization may make of a text, and decoding of tokens. A normalized byte costs about 17 in memory.
const MAX_GROWN_BYTES: f64 = (256u32 << 20) as f64;
/// Bytes of the token that stands for unknown text: each unknown character becomes a copy of it.
const MAX_UNKNOWN_TOKEN_BYTES: usize = 256;
/// Tokens that a stream may hold back while they form no character.
const MAX_PENDING_TOKENS: usize = 1 << 16;

pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Bytes that one byte of text may become, at most, on the way to the model.
    encode_growth: f64,
    /// Bytes that one id may become, at most.
    decode_growth: f64,
}

/// The parts of the definition that must be looked at before the library reads it.
#[derive(Deserialize)]
struct Definition {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    decoder: Value,
    model: Model,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
}

#[derive(Deserialize)]
struct Model {
    dropout: Option<f64>,
    unk_token: Option<String>,
}

impl Tokenizer {
    pub fn from_json(definition: &[u8]) -> Result<Tokenizer> {
        Tokenizer::load("tokenizer.json", definition, |bytes| Tokenizer::parse(&bytes))
    }

    pub fn from_vocabulary(spec: &[u8]) -> Result<Tokenizer> {
        Tokenizer::load("vocabulary", spec, |bytes| {
            let definition = gguf_vocab::to_tokenizer_json(&bytes)?;
            drop(bytes);
            Tokenizer::parse(&definition)
        })
    }

    fn load(what: &str, bytes: &[u8], parse: fn(Vec<u8>) -> Result<Tokenizer>) -> Result<Tokenizer> {
        if bytes.len() > MAX_DEFINITION_BYTES {
            return Err(Error::limit(format!(
                "{what}: {} bytes, expected at most {MAX_DEFINITION_BYTES}",
                bytes.len()
            )));
        }
        // Measured on SmolLM 2 (49152 tokens): 27 bytes of heap per byte of definition, 0.4 s for 1.3 MB.
        let limits = Limits { memory: (256 << 20) + 64 * bytes.len(), stack: 64 << 20, time: Duration::from_secs(120) };
        let bytes = bytes.to_vec();
        sandbox::run(what, limits, move || parse(bytes))
    }

    fn parse(bytes: &[u8]) -> Result<Tokenizer> {
        let definition: Definition =
            serde_json::from_slice(bytes).map_err(|e| Error::invalid(format!("tokenizer.json: {e}")))?;
        if definition.model.dropout.is_some_and(|dropout| dropout != 0.0) {
            return Err(Error::invalid(format!(
                "tokenizer.json: model.dropout is {}, expected none: encoding would be random",
                definition.model.dropout.unwrap_or(0.0)
            )));
        }
        let unknown = definition.model.unk_token.as_ref().map_or(0, String::len);
        if unknown > MAX_UNKNOWN_TOKEN_BYTES {
            return Err(Error::limit(format!(
                "tokenizer.json: model.unk_token has {unknown} bytes, expected at most {MAX_UNKNOWN_TOKEN_BYTES}"
            )));
        }
        let mut inner =
            tokenizers::Tokenizer::from_bytes(bytes).map_err(|e| Error::invalid(format!("tokenizer.json: {e}")))?;
        for token in &definition.added_tokens {
            let id = inner.token_to_id(&token.content);
            if !token.content.is_empty() && id != Some(token.id) {
                return Err(Error::invalid(format!(
                    "tokenizer.json: added token {:?} has id {}, but its place in the vocabulary gives {}",
                    token.content,
                    token.id,
                    id.map_or("none".to_string(), |id| id.to_string())
                )));
            }
        }
        // Both belong to batches of training data; Hugging Face's encode ignores them too unless asked.
        inner.with_truncation(None).map_err(|e| Error::internal(e.to_string()))?;
        inner.with_padding(None);

        let longest = inner.get_vocab(true).keys().map(String::len).max().unwrap_or(0);
        let encode_growth =
            growth(&definition.normalizer)? * growth(&definition.pre_tokenizer)? * growth(&definition.post_processor)?;
        let decode_growth = longest.max(1) as f64 * growth(&definition.decoder)?;
        Ok(Tokenizer { inner, encode_growth, decode_growth })
    }

    pub fn to_json(&self) -> Result<String> {
        self.inner.to_string(false).map_err(|e| Error::internal(format!("tokenizer.json: {e}")))
    }

    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>> {
        let most = (MAX_GROWN_BYTES / self.encode_growth).min(MAX_TEXT_BYTES as f64);
        if text.len() as f64 > most {
            return Err(Error::limit(format!("encode: text of {} bytes, expected at most {most:.0}", text.len())));
        }
        let encoding = self.inner.encode_fast(text, add_special).map_err(|e| Error::invalid(format!("encode: {e}")))?;
        Ok(encoding.get_ids().to_vec())
    }

    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        let most = MAX_GROWN_BYTES / self.decode_growth;
        if ids.len() as f64 > most {
            return Err(Error::limit(format!("decode: {} tokens, expected at most {most:.0}", ids.len())));
        }
        self.inner.decode(ids, skip_special).map_err(|e| Error::invalid(format!("decode: {e}")))
    }

    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

/// The DecodeStream of the tokenizers library, which owns its tokenizer.
pub struct Stream {
    tokenizer: Arc<Tokenizer>,
    skip_special: bool,
    ids: Vec<u32>,
    prefix: String,
    prefix_index: usize,
}

impl Stream {
    pub fn new(tokenizer: Arc<Tokenizer>, skip_special: bool) -> Stream {
        Stream { tokenizer, skip_special, ids: Vec::new(), prefix: String::new(), prefix_index: 0 }
    }

    /// The text that `id` completes; none while it waits for more bytes of a character.
    pub fn push(&mut self, id: u32) -> Result<Option<String>> {
        if self.ids.len() >= MAX_PENDING_TOKENS {
            return Err(Error::limit(format!("decode: {MAX_PENDING_TOKENS} tokens in a row without a character")));
        }
        tokenizers::tokenizer::step_decode_stream(
            &self.tokenizer.inner,
            vec![id],
            self.skip_special,
            &mut self.ids,
            &mut self.prefix,
            &mut self.prefix_index,
        )
        .map_err(|e| Error::invalid(format!("decode: {e}")))
    }

    /// The text still held back, with U+FFFD for bytes that form no character. The stream starts anew.
    pub fn finish(&mut self) -> Result<String> {
        let text = self.tokenizer.decode(&self.ids, self.skip_special)?;
        let rest = match text.strip_prefix(self.prefix.as_str()) {
            Some(rest) => rest.to_string(),
            // Byte fallback turns a whole run of bytes into U+FFFD when its end is incomplete: decode the end alone.
            None => self.tokenizer.decode(self.ids.get(self.prefix_index..).unwrap_or(&[]), self.skip_special)?,
        };
        *self = Stream::new(self.tokenizer.clone(), self.skip_special);
        Ok(rest)
    }
}

/// A bound for how many times longer a part of the definition makes its input, so that a chain of replacements, each
/// doubling the text, is refused instead of run.
fn growth(part: &Value) -> Result<f64> {
    let list = |key: &str| part.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let text_len = |value: Option<&Value>| value.and_then(Value::as_str).map_or(0, str::len) as f64;
    let factor = match part.get("type").and_then(Value::as_str).unwrap_or("") {
        "Sequence" => {
            let mut product = 1.0;
            for key in ["normalizers", "pretokenizers", "decoders", "processors"] {
                for item in list(key) {
                    product *= growth(item)?;
                }
            }
            product
        }
        "Replace" => {
            let content = text_len(part.get("content"));
            let pattern = text_len(part.get("pattern").and_then(|pattern| pattern.get("String")));
            if pattern > 0.0 { (content / pattern).max(1.0) } else { content + 1.0 }
        }
        "Prepend" => text_len(part.get("prepend")) + 1.0,
        "ByteLevel" => 3.0,
        "Metaspace" => 8.0,
        "NFC" | "NFD" | "NFKC" | "NFKD" => 12.0, // U+FDFA: 3 bytes to 33
        "BertNormalizer" => 8.0,
        "Lowercase" => 3.0,
        "Precompiled" => precompiled_growth(part)?,
        "TemplateProcessing" => {
            list("single").iter().filter(|item| item.get("Sequence").is_some()).count().max(1) as f64
        }
        _ => 1.0,
    };
    if factor > 1e9 {
        return Err(Error::limit(format!(
            "tokenizer.json: normalization or decoding may make text {factor:.0e} times longer, expected less than 1e9"
        )));
    }
    Ok(factor)
}

/// The longest replacement of a SentencePiece character map: after a table whose size stands in the first four bytes
/// (little endian) come the replacements, each ended by a NUL.
fn precompiled_growth(part: &Value) -> Result<f64> {
    let map = part.get("precompiled_charsmap").and_then(Value::as_str).unwrap_or("");
    let bytes = base64(map).ok_or_else(|| Error::invalid("tokenizer.json: precompiled_charsmap is not base64"))?;
    let table = bytes.first_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size) as usize);
    let replacements = bytes.get(4 + table..).unwrap_or(&[]);
    let longest = replacements.split(|byte| *byte == 0).map(<[u8]>::len).max().unwrap_or(0);
    Ok(longest.max(1) as f64)
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for c in text.bytes().filter(|c| !matches!(c, b'=' | b'\n' | b'\r')) {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xFF_FFFF;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}
