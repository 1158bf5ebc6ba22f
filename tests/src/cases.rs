//! Test cases that may be visibly ignored at run time.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::require::Missing;

/// One case: a sentence, what it needs, and what it does.
pub struct Case {
    name: String,
    missing: Result<(), Missing>,
    run: Box<dyn FnOnce() -> Result<(), Failed> + Send>,
}

impl Case {
    /// A case that needs nothing special. It fails by panicking, as any Rust test.
    pub fn new(name: impl Into<String>, run: impl FnOnce() + Send + 'static) -> Self {
        let run = Box::new(move || {
            run();
            Ok(())
        });
        Self { name: name.into(), missing: Ok(()), run }
    }

    /// Adds a need: `Ok` if it is met.
    #[must_use]
    pub fn needs<T>(mut self, need: &Result<T, Missing>) -> Self {
        if let (Ok(()), Err(missing)) = (&self.missing, need) {
            self.missing = Err(missing.clone());
        }
        self
    }

    fn into_trial(self) -> Trial {
        let Err(missing) = self.missing else { return Trial::test(self.name, self.run) };
        if missing.required {
            let why = format!("required by the environment, but {}", missing.why);
            return Trial::test(self.name, move || Err(Failed::from(why)));
        }
        eprintln!("SKIPPED {}: {}", self.name, missing.why);
        Trial::test(self.name, || Ok(())).with_ignored_flag(true)
    }
}

/// Runs `cases` with the usual command line of a Rust test (filters, `--list`, `--ignored`, `--test-threads`).
#[must_use]
pub fn run(cases: Vec<Case>) -> ExitCode {
    run_with(&Arguments::from_args(), cases)
}

/// As [`run`], one case after another: for suites that watch the memory of their process, or time.
#[must_use]
pub fn run_in_turn(cases: Vec<Case>) -> ExitCode {
    run_with(&Arguments { test_threads: Some(1), ..Arguments::from_args() }, cases)
}

fn run_with(arguments: &Arguments, cases: Vec<Case>) -> ExitCode {
    libtest_mimic::run(arguments, cases.into_iter().map(Case::into_trial).collect()).exit_code()
}
