//! The functions of llmc_text.h. Each catches panics, so that none crosses into C.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};

use crate::chat::{Chat, ChatTemplate};
use crate::error::{Error, Result};
use crate::sandbox;
use crate::tokenizer::{Stream, Tokenizer};

const OK: u32 = 0;

#[repr(C)]
pub struct TextString {
    data: *mut u8,
    size: usize,
}

#[repr(C)]
pub struct TextIds {
    data: *mut u32,
    size: usize,
}

#[repr(C)]
pub struct TextChat {
    messages: *const u8,
    messages_size: usize,
    tools: *const u8,
    tools_size: usize,
    variables: *const u8,
    variables_size: usize,
    now: *const u8,
    now_size: usize,
    add_generation_prompt: bool,
}

/// Behind the opaque tokenizer of the header: streams share it.
pub struct TextTokenizer(Arc<Tokenizer>);

impl TextString {
    const EMPTY: TextString = TextString { data: std::ptr::null_mut(), size: 0 };

    fn new(text: &str) -> TextString {
        let mut bytes = Vec::with_capacity(text.len() + 1);
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
        TextString { data: Box::into_raw(bytes.into_boxed_slice()).cast(), size: text.len() }
    }
}

// ---------------------------------------------------------------- from C and back

/// SAFETY: `data` points to `size` readable bytes, or `size` is 0.
unsafe fn bytes<'a>(data: *const u8, size: usize) -> &'a [u8] {
    if data.is_null() || size == 0 { &[] } else { unsafe { std::slice::from_raw_parts(data, size) } }
}

/// SAFETY: as for `bytes`.
unsafe fn text<'a>(what: &str, data: *const u8, size: usize) -> Result<&'a str> {
    std::str::from_utf8(unsafe { bytes(data, size) })
        .map_err(|e| Error::invalid(format!("{what}: not UTF-8 at byte {}", e.valid_up_to())))
}

/// SAFETY: `pointer` is null or came from a function of this file and was not freed.
unsafe fn reference<'a, T>(what: &str, pointer: *const T) -> Result<&'a T> {
    unsafe { pointer.as_ref() }.ok_or_else(|| Error::invalid(format!("{what} is null")))
}

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Runs the body of a function. Panics become errors, and their message does not go to stderr.
fn guarded<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !INSIDE.get() && !sandbox::is_inside() {
                previous(info)
            }
        }));
    });
    INSIDE.set(true);
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| Err(sandbox::from_panic(panic)));
    INSIDE.set(false);
    result
}

/// SAFETY: `error` is null or writable.
unsafe fn status(error: *mut TextString, body: impl FnOnce() -> Result<()>) -> u32 {
    match guarded(body) {
        Ok(()) => OK,
        Err(found) => {
            if !error.is_null() {
                unsafe { error.write(TextString::new(&found.message)) };
            }
            found.status as u32
        }
    }
}

// ---------------------------------------------------------------- the functions of llmc_text.h

#[unsafe(no_mangle)]
pub unsafe extern "C" fn llmc_text_string_free(string: *mut TextString) {
    if let Some(string) = unsafe { string.as_mut() } {
        if !string.data.is_null() {
            let slice = std::ptr::slice_from_raw_parts_mut(string.data, string.size + 1);
            drop(unsafe { Box::from_raw(slice) });
        }
        *string = TextString::EMPTY;
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn llmc_text_ids_free(ids: *mut TextIds) {
    if let Some(ids) = unsafe { ids.as_mut() } {
        if !ids.data.is_null() {
            drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(ids.data, ids.size)) });
        }
        *ids = TextIds { data: std::ptr::null_mut(), size: 0 };
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn llmc_text_tokenizer_from_json(
    json: *const u8,
    size: usize,
    tokenizer: *mut *mut TextTokenizer,
    error: *mut TextString,
) -> u32 {
    unsafe {
        status(error, || {
            let made = Tokenizer::from_json(bytes(json, size))?;
            tokenizer.write(Box::into_raw(Box::new(TextTokenizer(Arc::new(made)))));
            Ok(())
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn llmc_text_tokenizer_from_vocabulary(
    json: *const u8,
    size: usize,
    tokenizer: *mut *mut TextTokenizer,
    error: *mut TextString,
) -> u32 {
    unsafe {
        status(error, || {
            let made = Tokenizer::from_vocabulary(bytes(json, size))?;
            tokenizer.write(Box::into_raw(Box::new(TextTokenizer(Arc::new(made)))));
            Ok(())
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn llmc_text_tokenizer_free(tokenizer: *mut TextTokenizer) {
    if !tokenizer.is_null() {
        let _ = guarded(|| {
            drop(unsafe { Box::from_raw(tokenizer) });
            Ok(())
        });
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn llmc_text_tokenizer_to_json(
    tokenizer: *const TextTokenizer,
    json: *mut TextString,
    error: *mut TextString,
) -> u32 {
    unsafe {
        status(error, || {
            let text = reference("tokenizer", tokenizer)?.0.to_json()?;
            json.write(TextString::new(&text));
            Ok(())
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn llmc_text_encode(
    tokenizer: *const TextTokenizer,
    data: *const u8,
    size: usize,
    add_special: bool,
    ids: *mut TextIds,
    error: *mut TextString,
) -> u32 {
    unsafe {
        status(error, || {
            let found = reference("tokenizer", tokenizer)?.0.encode(text("text", data, size)?, add_special)?;
            let size = found.len();
            ids.write(TextIds { data: Box::into_raw(found.into_boxed_slice()).cast(), size });
            Ok(())
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn llmc_text_decode(
    tokenizer: *const TextTokenizer,
    ids: *const u32,
    count: usize,
    skip_special: bool,
    decoded: *mut TextString,
    error: *mut TextString,
) -> u32 {
    unsafe {
        status(error, || {
            let ids = if ids.is_null() || count == 0 { &[] } else { std::slice::from_raw_parts(ids, count) };
            let text = reference("tokenizer", tokenizer)?.0.decode(ids, skip_special)?;
            decoded.write(TextString::new(&text));
            Ok(())
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn llmc_text_id_to_token(
    tokenizer: *const TextTokenizer,
    id: u32,
    token: *mut TextString,
) -> bool {
    let found = guarded(|| Ok(unsafe { reference("tokenizer", tokenizer) }?.0.id_to_token(id)));
    match found {
        Ok(Some(text)) => {
            unsafe { token.write(TextString::new(&text)) };
            true
        }
        _ => false,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn llmc_text_token_to_id(
    tokenizer: *const TextTokenizer,
    token: *const u8,
    size: usize,
    id: *mut u32,
) -> bool {
    let found = guarded(|| {
        let tokenizer = unsafe { reference("tokenizer", tokenizer) }?;
        Ok(tokenizer.0.token_to_id(unsafe { text("token", token, size) }?))
    });
    match found {
        Ok(Some(found)) => {
            unsafe { id.write(found) };
            true
        }
        _ => false,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn llmc_text_vocab_size(tokenizer: *const TextTokenizer) -> usize {
    guarded(|| Ok(unsafe { reference("tokenizer", tokenizer) }?.0.vocab_size())).unwrap_or(0)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn llmc_text_stream_new(
    tokenizer: *const TextTokenizer,
    skip_special: bool,
    stream: *mut *mut Stream,
    error: *mut TextString,
) -> u32 {
    unsafe {
        status(error, || {
            let shared = reference("tokenizer", tokenizer)?.0.clone();
            stream.write(Box::into_raw(Box::new(Stream::new(shared, skip_special))));
            Ok(())
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn llmc_text_stream_push(
    stream: *mut Stream,
    id: u32,
    has_text: *mut bool,
    decoded: *mut TextString,
    error: *mut TextString,
) -> u32 {
    unsafe {
        status(error, || {
            let stream = stream.as_mut().ok_or_else(|| Error::invalid("stream is null"))?;
            let piece = stream.push(id)?;
            has_text.write(piece.is_some());
            decoded.write(piece.map_or(TextString::EMPTY, |piece| TextString::new(&piece)));
            Ok(())
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn llmc_text_stream_finish(
    stream: *mut Stream,
    decoded: *mut TextString,
    error: *mut TextString,
) -> u32 {
    unsafe {
        status(error, || {
            let stream = stream.as_mut().ok_or_else(|| Error::invalid("stream is null"))?;
            let rest = stream.finish()?;
            decoded.write(TextString::new(&rest));
            Ok(())
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn llmc_text_stream_free(stream: *mut Stream) {
    if !stream.is_null() {
        let _ = guarded(|| {
            drop(unsafe { Box::from_raw(stream) });
            Ok(())
        });
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn llmc_text_template_compile(
    source: *const u8,
    size: usize,
    chat_template: *mut *mut ChatTemplate,
    error: *mut TextString,
) -> u32 {
    unsafe {
        status(error, || {
            let compiled = ChatTemplate::compile(text("chat template", source, size)?)?;
            chat_template.write(Box::into_raw(Box::new(compiled)));
            Ok(())
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn llmc_text_template_free(chat_template: *mut ChatTemplate) {
    if !chat_template.is_null() {
        let _ = guarded(|| {
            drop(unsafe { Box::from_raw(chat_template) });
            Ok(())
        });
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn llmc_text_template_render(
    chat_template: *const ChatTemplate,
    chat: *const TextChat,
    rendered: *mut TextString,
    error: *mut TextString,
) -> u32 {
    unsafe {
        status(error, || {
            let chat = reference("chat", chat)?;
            let now = text("now", chat.now, chat.now_size)?;
            let chat = Chat {
                messages: bytes(chat.messages, chat.messages_size).to_vec(),
                tools: bytes(chat.tools, chat.tools_size).to_vec(),
                variables: bytes(chat.variables, chat.variables_size).to_vec(),
                add_generation_prompt: chat.add_generation_prompt,
                now: Some(now).filter(|now| !now.is_empty()).map(str::to_string),
            };
            let text = reference("chat template", chat_template)?.render(chat)?;
            rendered.write(TextString::new(&text));
            Ok(())
        })
    }
}
