"""What every Python suite of this tree shares: named cases that pass, fail or are skipped for a reason, counted.

A suite calls `Cases("parity")`, then `with cases.case("name"):` around each check, or `cases.add(name, problem)`; an
exception is a failure, `raise Skip("reason")` a skip. `cases.finish()` prints the counts as the last line,
`N passed, N failed, N skipped`, and exits with 1 if any failed: test/all.py adds those lines up."""
import contextlib
import sys
import threading
import traceback


class Skip(Exception):
    """The case cannot run here; the text says what is missing."""


class Cases:
    def __init__(self, verbose=False):
        self.passed, self.failed, self.skipped = 0, 0, 0
        self.verbose = verbose or "-v" in sys.argv
        self._lock = threading.Lock()  # cases may come from several threads

    def add(self, name, problem=None):
        """One case: None if it passed, else what is wrong."""
        with self._lock:
            if problem is None:
                self.passed += 1
                if self.verbose:
                    print(f"PASS {name}", flush=True)
            else:
                self.failed += 1
                print(f"FAIL {name}: {problem}", flush=True)

    def skip(self, name, reason):
        with self._lock:
            self.skipped += 1
            print(f"SKIP {name}: {reason}", flush=True)

    @contextlib.contextmanager
    def case(self, name):
        try:
            yield
        except Skip as reason:
            self.skip(name, reason)
        except AssertionError as problem:
            self.add(name, str(problem) or traceback.format_exc(limit=-1))
        except Exception:  # noqa: BLE001: whatever a check raises is its failure, with the place
            self.add(name, traceback.format_exc(limit=-2))
        else:
            self.add(name)

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        sys.exit(1 if self.failed or not self.passed + self.skipped else 0)
