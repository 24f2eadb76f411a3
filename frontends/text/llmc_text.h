/* llmc_text.h: tokenizers and chat templates, plain C11. Implemented in Rust (src/); Text.h wraps it for C++.
 *
 * Text is UTF-8 with an explicit size in bytes; it may hold NUL. A pointer may be null where its size is 0. Every
 * function may be called from any thread; a tokenizer and a template may be used by many threads at once, a stream by
 * one at a time. No input makes a function crash, hang or use memory without bound: it returns an error instead.
 * Functions that return a status write their results only when it is LLMC_TEXT_OK, and `error`, which may be null, only
 * when it is not: a message in one line that the caller frees with llmc_text_string_free. Other outputs must not be
 * null. */
#ifndef LLMC_TEXT_H
#define LLMC_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum llmc_text_status {
  LLMC_TEXT_OK = 0,
  LLMC_TEXT_INVALID = 1, /* the input is malformed, or not supported; the message says which and what was expected */
  LLMC_TEXT_REFUSED = 2, /* the template called raise_exception; the message is its own text */
  LLMC_TEXT_LIMIT = 3,   /* a limit of size, memory, instructions or time was passed */
  LLMC_TEXT_INTERNAL = 4 /* a fault of this library (a caught panic) */
} llmc_text_status;

/* size bytes at data, followed by a NUL that size does not count. Owned by the caller. */
typedef struct llmc_text_string {
  char *data;
  size_t size;
} llmc_text_string;

/* size token ids at data. Owned by the caller. */
typedef struct llmc_text_ids {
  uint32_t *data;
  size_t size;
} llmc_text_ids;

typedef struct llmc_text_tokenizer llmc_text_tokenizer;
typedef struct llmc_text_stream llmc_text_stream;
typedef struct llmc_text_template llmc_text_template;

/* Frees what a function of this header returned, and sets it to {null, 0}. Null pointers and empty values are allowed.
 */
void llmc_text_string_free(llmc_text_string *string);
void llmc_text_ids_free(llmc_text_ids *ids);

/* Reads a Hugging Face tokenizer.json (at most 128 MB). Truncation and padding in it are ignored, dropout is refused.
 */
llmc_text_status llmc_text_tokenizer_from_json(const char *json, size_t size, llmc_text_tokenizer **tokenizer,
                                               llmc_text_string *error);

/* Makes a tokenizer of the vocabulary of a GGUF file, given as a JSON object whose keys stand for tokenizer.ggml.*:
 *   "model"       "gpt2" (byte-level BPE) or "llama" (SentencePiece BPE with byte fallback)
 *   "pre"         name of the pre-tokenizer, for "gpt2" only ("default" where absent); an unknown one is an error that
 * lists the known ones "tokens"      [vocab] strings, distinct; an id is a place in this list "scores"      [vocab]
 * numbers, needed by "llama" "token_type"  [vocab] 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte.
 * Types 2, 3 and 4 are found in text before anything else; 2 and 3 are special: left out by decoding with skip_special.
 * Where absent, bos, eos and unk are special. "merges"      [merges] strings "left right", needed by "gpt2" "bos",
 * "eos", "unk"  ids, or null "add_bos", "add_eos" whether encoding with add_special adds them; where absent, what the
 * kind or the pre-tokenizer does "add_space_prefix"   whether "llama" puts a space before text (true where absent)
 * Other keys are errors. */
llmc_text_status llmc_text_tokenizer_from_vocabulary(const char *json, size_t size, llmc_text_tokenizer **tokenizer,
                                                     llmc_text_string *error);

void llmc_text_tokenizer_free(llmc_text_tokenizer *tokenizer);

/* The tokenizer as a tokenizer.json in one canonical form: the same tokenizer gives the same bytes, and reading them
 * gives the same ids. */
llmc_text_status llmc_text_tokenizer_to_json(const llmc_text_tokenizer *tokenizer, llmc_text_string *json,
                                             llmc_text_string *error);

/* Token ids of `text` (at most 8 MB). Special tokens inside the text are recognised; with add_special, those that the
 * tokenizer puts around a text are added. */
llmc_text_status llmc_text_encode(const llmc_text_tokenizer *tokenizer, const char *text, size_t size, bool add_special,
                                  llmc_text_ids *ids, llmc_text_string *error);

/* The text of `count` ids. Ids outside the vocabulary are left out, and special tokens too with skip_special; bytes
 * that form no character become U+FFFD. */
llmc_text_status llmc_text_decode(const llmc_text_tokenizer *tokenizer, const uint32_t *ids, size_t count,
                                  bool skip_special, llmc_text_string *text, llmc_text_string *error);

/* False where the id, or the token, does not exist. `token` is in the vocabulary's own spelling, not decoded. */
bool llmc_text_id_to_token(const llmc_text_tokenizer *tokenizer, uint32_t id, llmc_text_string *token);
bool llmc_text_token_to_id(const llmc_text_tokenizer *tokenizer, const char *token, size_t size, uint32_t *id);

/* Number of tokens, added ones included. */
size_t llmc_text_vocab_size(const llmc_text_tokenizer *tokenizer);

/* Decodes ids that come one at a time. The stream keeps what it needs of the tokenizer, which may be freed before it.
 */
llmc_text_status llmc_text_stream_new(const llmc_text_tokenizer *tokenizer, bool skip_special,
                                      llmc_text_stream **stream, llmc_text_string *error);

/* Takes one id. *has_text says whether it completed some text, which is then in `text`; otherwise `text` is {null, 0}:
 * the bytes so far end inside a character. Joined, the texts are what llmc_text_decode gives for all ids, unless some
 * bytes form no character: then it depends on the tokenizer how many U+FFFD stand for them. */
llmc_text_status llmc_text_stream_push(llmc_text_stream *stream, uint32_t id, bool *has_text, llmc_text_string *text,
                                       llmc_text_string *error);

/* The text still held back (often empty), with U+FFFD for an incomplete character; the stream then starts anew. */
llmc_text_status llmc_text_stream_finish(llmc_text_stream *stream, llmc_text_string *text, llmc_text_string *error);

void llmc_text_stream_free(llmc_text_stream *stream);

/* Compiles a chat template (Jinja as Hugging Face uses it, at most 256 KB). Templates cannot include files or other
 * templates. */
llmc_text_status llmc_text_template_compile(const char *source, size_t size, llmc_text_template **chat_template,
                                            llmc_text_string *error);

void llmc_text_template_free(llmc_text_template *chat_template);

/* One conversation. The texts are JSON; together they may have 8 MB. */
typedef struct llmc_text_chat {
  const char *messages; /* list of objects, usually {"role": ..., "content": ...}; an empty list is refused */
  size_t messages_size;
  const char *tools; /* list, or null, or the empty text for null */
  size_t tools_size;
  const char *variables; /* object with what else the template sees (bos_token, eos_token, enable_thinking), or empty */
  size_t variables_size;
  const char *now; /* local time that strftime_now sees, as 2026-02-03T04:05:06; empty: strftime_now is not defined */
  size_t now_size;
  bool add_generation_prompt; /* end with the beginning of an answer */
} llmc_text_chat;

/* The text of a conversation, as apply_chat_template(tokenize=False) of Hugging Face gives it. messages, tools and
 * add_generation_prompt hide variables of these names. Encode the text without add_special: it holds its special
 * tokens. */
llmc_text_status llmc_text_template_render(const llmc_text_template *chat_template, const llmc_text_chat *chat,
                                           llmc_text_string *text, llmc_text_string *error);

#ifdef __cplusplus
}
#endif

#endif
