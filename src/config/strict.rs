//! From values to the schema's types: strict, and with every error at once.
//!
//! The `config` crate's own conversions are loose (`"5432"` and `true` become numbers, 1.5 becomes
//! 2) and stop at the first error without a line. Here a value has its type or is refused. Text is
//! the one exception: a number or truth value without quotes is taken as it is written, as other
//! programs that read YAML do.
//!
//! Unknown keys are noted in passing. Other errors end a pass: the value at fault is noted and left
//! out, and the next pass finds the next one, until a pass goes through.

mod choice;
mod fault;
mod values;

use std::cell::RefCell;
use std::collections::HashSet;

use ::config::Value;
use serde::de;

use self::fault::{Cause, Fault};
use self::values::Strict;
use super::place::{Path, Places, Step};
use super::problem::{Problem, Problems, choices};

/// Errors within one value after which the rest of it is not looked at.
const MAX_FAULTS: usize = 100;

/// Reads a value at `path`. Without the parts that are wrong, if the type can do without them;
/// `None` if it cannot. What is wrong is added to `problems`.
pub(super) fn read<T: de::DeserializeOwned>(
    value: &Value,
    path: &Path,
    places: &Places,
    problems: &mut Problems,
) -> Option<T> {
    let reader = Reader {
        places,
        path: RefCell::new(path.clone()),
        skipped: RefCell::default(),
        found: RefCell::default(),
    };
    let result = reader.passes(value);
    for problem in reader.found.into_inner() {
        problems.push(problem);
    }
    result
}

/// What one reading has in common over its passes.
struct Reader<'a> {
    places: &'a Places,
    path: RefCell<Path>,
    /// Addresses of the values that are left out from now on.
    skipped: RefCell<HashSet<usize>>,
    found: RefCell<Vec<Problem>>,
}

impl Reader<'_> {
    fn passes<T: de::DeserializeOwned>(&self, value: &Value) -> Option<T> {
        for _ in 0..MAX_FAULTS {
            let fault = match T::deserialize(Strict::new(value, self)) {
                Ok(read) => return Some(read),
                Err(fault) => fault.locate(value, self),
            };
            let whole = fault.at == Some(address(value));
            self.note(fault);
            if whole {
                return None;
            }
        }
        let message = format!("{MAX_FAULTS} faults are enough: the rest was not looked at");
        let problem = Problem::new(self.places.of(value), &self.path.borrow(), message);
        self.found.borrow_mut().push(problem);
        None
    }

    fn skips(&self, value: &Value) -> bool {
        self.skipped.borrow().contains(&address(value))
    }

    /// Notes a fault and leaves its value out from now on.
    fn note(&self, fault: Fault) {
        if let Some(at) = fault.at
            && self.skipped.borrow_mut().insert(at)
            && let Some(problem) = fault.problem
        {
            self.found.borrow_mut().push(*problem);
        }
    }

    /// Goes one step down and back up; a fault from below gets its place.
    fn step<T>(
        &self,
        step: Step,
        value: &Value,
        read: impl FnOnce() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.path.borrow_mut().push(step);
        let result = read().map_err(|fault| fault.locate(value, self));
        self.path.borrow_mut().pop();
        result
    }

    fn unknown_key(&self, key: &str, value: &Value, valid: &[&'static str]) -> Fault {
        let path = self.path.borrow().key(key);
        let mut problem = Problem::new(self.places.of_key(value), &path, "unknown key");
        problem.help = match key {
            "<<" => Some("merge keys are not supported: write the keys out".to_owned()),
            _ => choices(key, valid.iter().copied()),
        };
        Fault {
            cause: Cause::Echo,
            at: Some(address(value)),
            problem: Some(Box::new(problem)),
        }
    }
}

fn address(value: &Value) -> usize {
    std::ptr::from_ref(value).addr()
}

#[cfg(test)]
mod tests;
