//! Runs work whose cost an untrusted file decides (a template, a tokenizer definition) with a bounded stack, heap and time.
//!
//! The work gets a thread of its own. The allocator of this crate counts what that thread holds; an allocation that would pass
//! the limit is not made: the thread reports it and sleeps for ever, since neither failing (Rust aborts the process) nor unwinding
//! (undefined in an allocator) is possible there. The same happens at the next allocation after the time is over. So one
//! overrun costs at most its memory limit for the life of the process, and after kMaxOverruns of them nothing more is run.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How many overruns a process survives: with the limits below at most 4 times the largest memory limit stays lost.
const MAX_OVERRUNS: usize = 4;
static OVERRUNS: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone, Copy)]
pub struct Limits {
    /// Bytes of heap that the work may hold at one time.
    pub memory: usize,
    /// Bytes of stack. Only touched pages cost memory.
    pub stack: usize,
    pub time: Duration,
}

/// What the two threads share besides the result.
struct Watch {
    out_of_memory: AtomicBool,
    abandoned: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Watch {
    fn notify(&self) {
        let _guard = self.lock.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.changed.notify_all();
    }
}

thread_local! {
    /// Null on every thread that is not inside `run`. No destructors, so the allocator may read these at any time.
    static WATCH: Cell<*const Watch> = const { Cell::new(std::ptr::null()) };
    static USED: Cell<usize> = const { Cell::new(0) };
    static LIMIT: Cell<usize> = const { Cell::new(usize::MAX) };
}

struct CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

impl CountingAllocator {
    /// Accounts for `bytes` more; does not return when they are too many.
    #[inline]
    fn charge(&self, bytes: usize) {
        let watch = WATCH.get();
        if !watch.is_null() {
            // SAFETY: `run` keeps the watch alive until it has set WATCH back to null on this thread.
            unsafe { Self::charge_watched(&*watch, bytes) }
        }
    }

    #[cold]
    fn charge_watched(watch: &Watch, bytes: usize) {
        let used = USED.get().saturating_add(bytes);
        let over = used > LIMIT.get();
        if over || watch.abandoned.load(Ordering::Relaxed) {
            if over {
                watch.out_of_memory.store(true, Ordering::Release);
                watch.notify();
            }
            loop {
                std::thread::sleep(Duration::from_secs(3600)); // allocates nothing, unlike park
            }
        }
        USED.set(used);
    }

    #[inline]
    fn refund(&self, bytes: usize) {
        if !WATCH.get().is_null() {
            USED.set(USED.get().saturating_sub(bytes)); // memory of another thread may be freed here
        }
    }
}

// SAFETY: everything is passed on to the system's allocator; only the accounting is ours.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.charge(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.charge(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.refund(layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.charge(size);
        let grown = unsafe { System.realloc(pointer, layout, size) };
        self.refund(if grown.is_null() { size } else { layout.size() });
        grown
    }
}

/// Runs `work` within `limits`. `what` begins the messages: "chat template", "tokenizer.json".
pub fn run<T: Send + 'static>(
    what: &str,
    limits: Limits,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if OVERRUNS.load(Ordering::Relaxed) >= MAX_OVERRUNS {
        return Err(Error::limit(format!(
            "{what}: not run, since {MAX_OVERRUNS} earlier ones of this process passed their limits; restart it"
        )));
    }
    let watch = Arc::new(Watch {
        out_of_memory: AtomicBool::new(false),
        abandoned: AtomicBool::new(false),
        lock: Mutex::new(()),
        changed: Condvar::new(),
    });
    let result: Arc<Mutex<Option<Result<T>>>> = Arc::new(Mutex::new(None));
    let (their_watch, their_result) = (watch.clone(), result.clone());
    let thread = std::thread::Builder::new().stack_size(limits.stack).spawn(move || {
        USED.set(0);
        LIMIT.set(limits.memory);
        WATCH.set(Arc::as_ptr(&their_watch));
        let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(from_panic(panic)));
        WATCH.set(std::ptr::null());
        *their_result.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(outcome);
        drop(their_result);
        their_watch.notify();
    });
    let thread = thread.map_err(|e| Error::internal(format!("{what}: cannot start a thread: {e}")))?;

    let deadline = Instant::now() + limits.time;
    let mut guard = watch.lock.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    loop {
        if let Some(outcome) = result.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take() {
            drop(guard);
            let _ = thread.join();
            return outcome;
        }
        if watch.out_of_memory.load(Ordering::Acquire) {
            OVERRUNS.fetch_add(1, Ordering::Relaxed);
            return Err(Error::limit(format!("{what}: needs more than {} MB of memory", limits.memory >> 20)));
        }
        let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
            watch.abandoned.store(true, Ordering::Relaxed);
            OVERRUNS.fetch_add(1, Ordering::Relaxed);
            return Err(Error::limit(format!("{what}: not finished after {} s", limits.time.as_secs())));
        };
        guard = watch.changed.wait_timeout(guard, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0;
    }
}

/// Whether this thread runs work of `run`.
pub fn is_inside() -> bool {
    !WATCH.get().is_null()
}

/// The message of a caught panic.
pub fn from_panic(panic: Box<dyn std::any::Any + Send>) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| s.to_string())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown panic".to_string());
    Error::internal(format!("internal error: {text}"))
}
