//! The vocabulary of a GGUF file, turned into the text of a tokenizer.json.
//!
//! Two kinds exist: "gpt2", byte-level BPE whose merges are in the file, and "llama", SentencePiece BPE where the file has a score
//! per piece instead. SentencePiece joins, again and again, the neighbouring pair whose union has the highest score, the leftmost
//! of equals. Listing every split of every piece into two pieces, the best score first, makes the same choices from a merge
//! list: only between overlapping pairs with the same union (a run of one character, say) may it choose another than the
//! leftmost.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::pre_tokenizers;

/// The values of `tokenizer.ggml.token_type`.
const NORMAL: i64 = 1;
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const UNUSED: i64 = 5;
const BYTE: i64 = 6;

/// Far above the longest known piece (256 bytes); it bounds the number of splits of a piece.
const MAX_TOKEN_BYTES: usize = 2048;
const MARK: &str = "\u{2581}"; // stands for a space in SentencePiece pieces

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    model: String,
    pre: Option<String>,
    tokens: Vec<String>,
    scores: Option<Vec<f64>>,
    token_type: Option<Vec<i64>>,
    merges: Option<Vec<String>>,
    bos: Option<u32>,
    eos: Option<u32>,
    unk: Option<u32>,
    add_bos: Option<bool>,
    add_eos: Option<bool>,
    add_space_prefix: Option<bool>,
}

/// The text of a tokenizer.json for the JSON object `spec` (llmc_text.h says what it holds).
pub fn to_tokenizer_json(spec: &[u8]) -> Result<Vec<u8>> {
    let mut spec: Spec = serde_json::from_slice(spec).map_err(|e| Error::invalid(format!("vocabulary: {e}")))?;
    check(&mut spec)?;
    let types = token_types(&spec);
    let ids: HashMap<&str, u32> = spec.tokens.iter().enumerate().map(|(id, t)| (t.as_str(), id as u32)).collect();
    if ids.len() != spec.tokens.len() {
        let (first, second) = duplicate(&spec.tokens);
        return Err(Error::invalid(format!(
            "vocabulary: tokens {first} and {second} are both {:?}, expected distinct tokens",
            spec.tokens[first]
        )));
    }

    let parts = match spec.model.as_str() {
        "gpt2" => byte_level(&spec)?,
        "llama" => sentence_piece(&spec, &types, &ids)?,
        other => {
            return Err(Error::invalid(format!(
                "vocabulary: tokenizer.ggml.model is {other:?}, expected \"gpt2\" or \"llama\""
            )));
        }
    };
    let added: Vec<Value> = (0..spec.tokens.len())
        .filter(|&id| matches!(types[id], UNKNOWN | CONTROL | USER_DEFINED))
        .map(|id| {
            json!({"id": id, "content": spec.tokens[id], "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": types[id] != USER_DEFINED})
        })
        .collect();
    let result = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": parts.normalizer,
        "pre_tokenizer": parts.pre_tokenizer, "post_processor": post_processor(&spec, parts.add_bos)?,
        "decoder": parts.decoder, "model": {
            "type": "BPE", "dropout": null, "unk_token": parts.unk_token, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": parts.unk_token.is_some(), "byte_fallback": parts.byte_fallback,
            "ignore_merges": parts.ignore_merges, "vocab": ids, "merges": parts.merges,
        },
    });
    serde_json::to_vec(&result).map_err(|e| Error::internal(format!("vocabulary: {e}")))
}

struct Parts {
    normalizer: Value,
    pre_tokenizer: Value,
    decoder: Value,
    merges: Vec<(String, String)>,
    unk_token: Option<String>,
    byte_fallback: bool,
    ignore_merges: bool,
    add_bos: bool,
}

fn check(spec: &mut Spec) -> Result<()> {
    let count = spec.tokens.len();
    if count == 0 {
        return Err(Error::invalid("vocabulary: no tokens"));
    }
    let lengths =
        [("scores", spec.scores.as_ref().map(Vec::len)), ("token_type", spec.token_type.as_ref().map(Vec::len))];
    for (name, length) in lengths {
        if length.is_some_and(|length| length != count) {
            return Err(Error::invalid(format!(
                "vocabulary: {} {name} for {count} tokens, expected as many",
                length.unwrap_or(0)
            )));
        }
    }
    for (name, id) in [("bos", spec.bos), ("eos", spec.eos), ("unk", spec.unk)] {
        if id.is_some_and(|id| id as usize >= count) {
            return Err(Error::invalid(format!(
                "vocabulary: {name} is token {}, expected one below {count}",
                id.unwrap_or(0)
            )));
        }
    }
    for (id, token) in spec.tokens.iter_mut().enumerate() {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Error::limit(format!(
                "vocabulary: token {id} has {} bytes, expected at most {MAX_TOKEN_BYTES}",
                token.len()
            )));
        }
        if token.is_empty() {
            *token = format!("[EMPTY_{id}]"); // as llama.cpp calls it: a place in the embedding that no text reaches
        }
    }
    Ok(())
}

/// Files without `token_type` still name their special tokens by id, and bytes by their form.
fn token_types(spec: &Spec) -> Vec<i64> {
    let given = spec.token_type.clone();
    let has_types = given.is_some();
    let mut types = given.unwrap_or_else(|| vec![NORMAL; spec.tokens.len()]);
    if !has_types {
        for (id, token) in spec.tokens.iter().enumerate() {
            if spec.model == "llama" && is_byte_token(token) {
                types[id] = BYTE;
            }
        }
        for (id, kind) in [(spec.bos, CONTROL), (spec.eos, CONTROL), (spec.unk, UNKNOWN)] {
            if let Some(id) = id {
                types[id as usize] = kind;
            }
        }
    }
    types
}

fn is_byte_token(token: &str) -> bool {
    token.len() == 6
        && token.starts_with("<0x")
        && token.ends_with('>')
        && token.as_bytes()[3..5].iter().all(|c| matches!(c, b'0'..=b'9' | b'A'..=b'F'))
}

fn duplicate(tokens: &[String]) -> (usize, usize) {
    let mut seen = HashMap::new();
    for (id, token) in tokens.iter().enumerate() {
        if let Some(first) = seen.insert(token, id) {
            return (first, id);
        }
    }
    (0, 0)
}

fn byte_level(spec: &Spec) -> Result<Parts> {
    let pre = spec.pre.as_deref().unwrap_or("default");
    let row = pre_tokenizers::find(pre).ok_or_else(|| {
        Error::invalid(format!(
            "vocabulary: pre-tokenizer {pre:?} (tokenizer.ggml.pre) is not known, expected one of {}",
            pre_tokenizers::known()
        ))
    })?;
    let lines =
        spec.merges.as_ref().ok_or_else(|| Error::invalid("vocabulary: no merges, which kind \"gpt2\" needs"))?;
    let mut merges = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        // A piece may be a space only at the beginning of the line: the separator is the first space after the first character.
        let after_first = line.chars().next().map_or(0, char::len_utf8);
        match line[after_first..].find(' ') {
            Some(at) => {
                merges.push((line[..after_first + at].to_string(), line[after_first + at + 1..].to_string()));
            }
            None => {
                return Err(Error::invalid(format!(
                    "vocabulary: merge {index} is {line:?}, expected two pieces with a space between them"
                )));
            }
        }
    }
    let mut cuts: Vec<Value> = row
        .splits
        .iter()
        .map(|regex| json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false}))
        .collect();
    cuts.push(json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}));
    Ok(Parts {
        normalizer: if row.nfc { json!({"type": "NFC"}) } else { Value::Null },
        pre_tokenizer: json!({"type": "Sequence", "pretokenizers": cuts}),
        decoder: json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}),
        merges,
        unk_token: None, // bytes outside the vocabulary are dropped, as the models' own tokenizers and llama.cpp do
        byte_fallback: false,
        ignore_merges: row.ignore_merges,
        add_bos: row.add_bos,
    })
}

fn sentence_piece(spec: &Spec, types: &[i64], ids: &HashMap<&str, u32>) -> Result<Parts> {
    let scores =
        spec.scores.as_ref().ok_or_else(|| Error::invalid("vocabulary: no scores, which kind \"llama\" needs"))?;
    let has_bytes = spec.tokens.iter().zip(types).any(|(token, kind)| *kind == BYTE && is_byte_token(token));
    if !has_bytes && spec.unk.is_none() {
        return Err(Error::invalid(
            "vocabulary: neither byte tokens nor an unknown token, so that some text has no tokens",
        ));
    }
    let prefix = spec.add_space_prefix.unwrap_or(true);
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": MARK});
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": MARK}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if prefix {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    Ok(Parts {
        normalizer: if prefix {
            json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": MARK}, replace]})
        } else {
            replace
        },
        pre_tokenizer: Value::Null,
        decoder: json!({"type": "Sequence", "decoders": decoders}),
        merges: merges_by_score(&spec.tokens, scores, types, ids),
        unk_token: spec.unk.map(|id| spec.tokens[id as usize].clone()),
        byte_fallback: has_bytes,
        ignore_merges: false,
        add_bos: spec.bos.is_some(),
    })
}

/// Every split of a piece into two pieces, by descending score, then by id, then the longer left side first.
fn merges_by_score(
    tokens: &[String],
    scores: &[f64],
    types: &[i64],
    ids: &HashMap<&str, u32>,
) -> Vec<(String, String)> {
    let mergeable = |id: u32| matches!(types[id as usize], NORMAL | UNUSED);
    let is_piece = |text: &str| ids.get(text).is_some_and(|&id| mergeable(id));
    let mut order: Vec<u32> = (0..tokens.len() as u32).filter(|&id| mergeable(id)).collect();
    order.sort_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b)));
    let mut merges = Vec::new();
    for id in order {
        let token = &tokens[id as usize];
        for (at, _) in token.char_indices().skip(1).collect::<Vec<_>>().into_iter().rev() {
            let (left, right) = token.split_at(at);
            if is_piece(left) && is_piece(right) {
                merges.push((left.to_string(), right.to_string()));
            }
        }
    }
    merges
}

fn post_processor(spec: &Spec, add_bos_by_default: bool) -> Result<Value> {
    let mut single = Vec::new();
    let mut pair = Vec::new();
    let mut specials = serde_json::Map::new();
    let wanted = |flag: Option<bool>, default: bool, id: Option<u32>, name: &str| match (flag, id) {
        (Some(true), None) => Err(Error::invalid(format!("vocabulary: add_{name} is true, but no {name} is given"))),
        (flag, id) => Ok(id.filter(|_| flag.unwrap_or(default))),
    };
    let bos = wanted(spec.add_bos, add_bos_by_default, spec.bos, "bos")?;
    let eos = wanted(spec.add_eos, false, spec.eos, "eos")?;
    for sequence in ["A", "B"] {
        let mut items = Vec::new();
        for (id, is_text) in [(bos, false), (None, true), (eos, false)] {
            if is_text {
                items.push(json!({"Sequence": {"id": sequence, "type_id": 0}}));
            } else if let Some(id) = id {
                let token = &spec.tokens[id as usize];
                items.push(json!({"SpecialToken": {"id": token, "type_id": 0}}));
                specials.insert(token.clone(), json!({"id": token, "ids": [id], "tokens": [token]}));
            }
        }
        if sequence == "A" {
            single = items.clone();
        }
        pair.extend(items);
    }
    if specials.is_empty() {
        return Ok(Value::Null);
    }
    Ok(json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": specials}))
}
