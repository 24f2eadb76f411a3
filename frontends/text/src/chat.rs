//! Chat templates: Jinja as Hugging Face's apply_chat_template runs it, in an environment that reaches nothing outside.

use std::collections::BTreeMap;
use std::time::Duration;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind, from_args};
use minijinja::{AutoEscape, Environment, ErrorKind, State};

use crate::clock::Clock;
use crate::error::{Error, Result, Status};
use crate::json_text;
use crate::sandbox::{self, Limits};

/// The longest published templates have about 30 KB.
const MAX_SOURCE_BYTES: usize = 256 << 10;
const MAX_INPUT_BYTES: usize = 8 << 20;
const MAX_OUTPUT_BYTES: usize = 16 << 20;
/// Instructions per rendering: some for any conversation, some per byte of it, and a cap. The templates of
/// test/data/tokenizers and SmolLM 2 take 23 to 55 per message, which has at least 30 bytes.
const BASE_FUEL: usize = 400_000;
const FUEL_PER_BYTE: usize = 16;
const MAX_FUEL: usize = 4_000_000;
/// A template can nest a value once per instruction; printing, comparing or freeing it then takes up to 550 bytes of stack per
/// level (measured with minijinja 3.0.5 on x86-64, release build). Untouched stack costs nothing.
const STACK_PER_INSTRUCTION: usize = 1024;
const BASE_STACK: usize = 64 << 20;
const BASE_MEMORY: usize = 128 << 20;
const MEMORY_PER_BYTE: usize = 24; // a number and its comma, 2 bytes, become a value of 24
const TIME: Duration = Duration::from_secs(30);
/// The deepest expression that MAX_SOURCE_BYTES can hold, a row of minus signs, takes 110 MB of stack to compile.
const COMPILE_LIMITS: Limits = Limits { memory: 256 << 20, stack: 512 << 20, time: TIME };
const NAME: &str = "chat template"; // begins every message

pub struct ChatTemplate {
    environment: Environment<'static>,
}

/// JSON texts; the empty text stands for null.
pub struct Chat {
    pub messages: Vec<u8>,
    pub tools: Vec<u8>,
    pub variables: Vec<u8>,
    pub add_generation_prompt: bool,
    pub now: Option<String>,
}

impl ChatTemplate {
    pub fn compile(source: &str) -> Result<ChatTemplate> {
        if source.len() > MAX_SOURCE_BYTES {
            return Err(Error::limit(format!("{NAME}: {} bytes, expected at most {MAX_SOURCE_BYTES}", source.len())));
        }
        let source = without_generation_tags(source);
        let environment = sandbox::run(NAME, COMPILE_LIMITS, move || {
            let mut environment = environment();
            environment.add_template_owned(NAME, source).map_err(describe)?;
            Ok(environment)
        })?;
        Ok(ChatTemplate { environment })
    }

    pub fn render(&self, chat: Chat) -> Result<String> {
        let size = chat.messages.len() + chat.tools.len() + chat.variables.len();
        if size > MAX_INPUT_BYTES {
            return Err(Error::limit(format!(
                "{NAME}: messages, tools and variables have {size} bytes, expected at most {MAX_INPUT_BYTES}"
            )));
        }
        let fuel = (BASE_FUEL + FUEL_PER_BYTE * size).min(MAX_FUEL);
        let limits = Limits {
            memory: BASE_MEMORY + MEMORY_PER_BYTE * size,
            stack: BASE_STACK + STACK_PER_INSTRUCTION * fuel,
            time: TIME,
        };
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(fuel as u64));
        let text = sandbox::run(NAME, limits, move || {
            let context = context(chat)?;
            let template = environment.get_template(NAME).map_err(describe)?;
            template.render(context).map_err(describe)
        })?;
        if text.len() > MAX_OUTPUT_BYTES {
            return Err(Error::limit(format!(
                "{NAME}: the text has {} bytes, expected at most {MAX_OUTPUT_BYTES}",
                text.len()
            )));
        }
        Ok(text)
    }
}

/// What the template sees: the variables, and over them messages, tools and the others that Hugging Face passes.
fn context(chat: Chat) -> Result<Value> {
    let messages = parse("messages", &chat.messages)?;
    let is_list = messages.kind() == ValueKind::Seq;
    if !is_list || messages.len() == Some(0) {
        return Err(Error::invalid(if is_list || messages.is_none() {
            "Cannot apply chat template to an empty conversation. Provide at least one message.".to_string()
        } else {
            format!("{NAME}: messages are a JSON {}, expected a list of objects", messages.kind())
        }));
    }
    let items = messages.try_iter().map_err(describe)?;
    if let Some(at) = items.into_iter().position(|message| message.kind() != ValueKind::Map) {
        return Err(Error::invalid(format!("{NAME}: message {at} is not a JSON object")));
    }
    let tools = parse("tools", &chat.tools)?;
    if !tools.is_none() && tools.kind() != ValueKind::Seq {
        return Err(Error::invalid(format!("{NAME}: tools are a JSON {}, expected a list or null", tools.kind())));
    }
    let variables = parse("variables", &chat.variables)?;
    let mut context: BTreeMap<String, Value> = BTreeMap::new();
    context.insert("documents".to_string(), Value::from(()));
    if variables.kind() == ValueKind::Map {
        for key in variables.try_iter().map_err(describe)? {
            let value = variables.get_item(&key).map_err(describe)?;
            context.insert(key.to_string(), value);
        }
    } else if !variables.is_none() {
        return Err(Error::invalid(format!("{NAME}: variables are a JSON {}, expected an object", variables.kind())));
    }
    context.insert("messages".to_string(), messages);
    context.insert("tools".to_string(), tools);
    context.insert("add_generation_prompt".to_string(), Value::from(chat.add_generation_prompt));
    if let Some(now) = chat.now {
        let clock = Clock::parse(&now)?;
        let strftime_now = move |format: &str| {
            clock.format(format).map_err(|e| minijinja::Error::new(ErrorKind::InvalidOperation, e.message))
        };
        context.insert("strftime_now".to_string(), Value::from_function(strftime_now));
    }
    Ok(Value::from(context))
}

fn parse(what: &str, json: &[u8]) -> Result<Value> {
    if json.is_empty() {
        return Ok(Value::from(()));
    }
    serde_json::from_slice(json).map_err(|e| Error::invalid(format!("{NAME}: {what}: {e}")))
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    if let Ok(syntax) = syntax {
        environment.set_syntax(syntax);
    }
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_unknown_method_callback(method);
    environment.add_filter("tojson", json_text::tojson);
    environment.add_function("raise_exception", raise_exception);
    environment
}

/// The template's own refusal of a conversation, found again in `describe`.
#[derive(Debug)]
struct Raised(String);

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

fn raise_exception(message: Value) -> std::result::Result<Value, minijinja::Error> {
    let message = message.to_string();
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Raised(message)))
}

fn describe(error: minijinja::Error) -> Error {
    let mut message = NAME.to_string();
    if let Some(line) = error.line() {
        message += &format!(", line {line}");
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    let mut status = Status::Invalid;
    while let Some(current) = cause {
        if let Some(Raised(text)) = current.downcast_ref() {
            return Error { status: Status::Refused, message: text.clone() };
        }
        match current.downcast_ref::<minijinja::Error>() {
            Some(error) => {
                if error.kind() == ErrorKind::OutOfFuel {
                    status = Status::Limit;
                    message += ": more instructions than a conversation of this size may take";
                } else {
                    message += &format!(": {}", error.kind());
                    if let Some(detail) = error.detail() {
                        message += &format!(": {detail}");
                    }
                }
            }
            None => message += &format!(": {current}"),
        }
        cause = current.source();
    }
    Error { status, message }
}

/// Methods of Python's strings that published templates call, beyond those of the pycompat module.
fn method(
    state: &mut State,
    value: &Value,
    name: &str,
    args: &[Value],
) -> std::result::Result<Value, minijinja::Error> {
    let Some(text) = value.as_str() else {
        return minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args);
    };
    let parts = |parts: [&str; 3]| Ok(Value::from(parts.map(Value::from).to_vec()));
    match name {
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Ok(Value::from(text.strip_prefix(prefix).unwrap_or(text)))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Ok(Value::from(text.strip_suffix(suffix).unwrap_or(text)))
        }
        "partition" => {
            let (separator,): (&str,) = from_args(args)?;
            match text.split_once(separator) {
                Some((before, after)) => parts([before, separator, after]),
                None => parts([text, "", ""]),
            }
        }
        "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            match text.rsplit_once(separator) {
                Some((before, after)) => parts([before, separator, after]),
                None => parts(["", "", text]),
            }
        }
        "rsplit" => {
            let (separator, count): (&str, Option<i64>) = from_args(args)?;
            let count = count.filter(|count| *count >= 0).map_or(usize::MAX, |count| count as usize);
            let mut pieces: Vec<Value> = text.rsplitn(count.saturating_add(1), separator).map(Value::from).collect();
            pieces.reverse();
            Ok(Value::from(pieces))
        }
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args),
    }
}

/// Hugging Face's tags {% generation %} and {% endgeneration %} mark the assistant's tokens for training and print nothing:
/// an if that is always true stands for them.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at + 2);
        out.push_str(before);
        let inner = tag.trim_start_matches(['-', '+']);
        let keyword = inner.trim_start();
        let replaced = [("generation", "if true"), ("endgeneration", "endif")].into_iter().find(|(word, _)| {
            keyword.strip_prefix(word).is_some_and(|after| {
                let end = after.trim_start();
                end.starts_with("%}") || end.starts_with("-%}") || end.starts_with("+%}")
            })
        });
        match replaced {
            Some((word, replacement)) => {
                out.push_str(&tag[..tag.len() - keyword.len()]);
                out.push_str(replacement);
                rest = &keyword[word.len()..];
            }
            None => rest = tag,
        }
    }
    out.push_str(rest);
    out
}
