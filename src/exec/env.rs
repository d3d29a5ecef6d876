//! An environment in the making.
//!
//! Knows the kubelet's rules of order, nothing of where values come from. Invariant: of each name there is one definition, the
//! first decides its place and the last its value; what was spent is never more than [`SETUP_BYTES_MAX`].

use super::agent::{SETUP_BYTES_MAX, SetupTooLong};
use super::expand::expand;
use super::texts::{KEPT_BYTES_MAX, Records};
use std::collections::BTreeMap;

/// A template's variables are looked through one by one up to so many; for more there is a map, which costs a pod allocations.
pub(super) const SCANNED_MAX: usize = 8;

/// What environments lie in, one after another.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Every definition, names and values.
    text: String,
    variables: Vec<Variable>,
}

/// A definition in [`Room::text`]: where its name begins, where that ends and its value begins, and where that ends.
#[derive(Clone, Copy, Debug)]
struct Variable {
    name: usize,
    value: usize,
    end: usize,
}

impl Room {
    fn name(&self, variable: Variable) -> &str {
        &self.text[variable.name..variable.value]
    }

    fn value(&self, variable: Variable) -> &str {
        &self.text[variable.value..variable.end]
    }

    /// Forgets the variables, and room for more than [`KEPT_BYTES_MAX`] of either kind.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(KEPT_BYTES_MAX);
        self.variables.clear();
        self.variables.shrink_to(KEPT_BYTES_MAX / size_of::<Variable>());
    }
}

/// One pod's environment; names live for `'n`.
pub(super) struct Env<'r, 'n> {
    room: &'r mut Room,
    /// Where a name is in [`Room::variables`], if the template has more than [`SCANNED_MAX`].
    places: Option<BTreeMap<&'n str, usize>>,
    bytes_left: usize,
}

impl<'r, 'n> Env<'r, 'n> {
    /// No variables yet, for a template with `count` of them.
    pub(super) fn new(room: &'r mut Room, count: usize) -> Self {
        room.clear();
        let places = (count > SCANNED_MAX).then(BTreeMap::new);
        Self { room, places, bytes_left: SETUP_BYTES_MAX }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.place(name).map(|place| self.room.value(self.room.variables[place]))
    }

    fn place(&self, name: &str) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(name).copied(),
            None => self.room.variables.iter().position(|known| self.room.name(*known) == name),
        }
    }

    pub(super) fn set(&mut self, name: &'n str, value: &str) -> Result<(), SetupTooLong> {
        self.spend(name.len() + value.len())?;
        let place = self.place(name);
        let Room { text, variables } = &mut *self.room;
        let start = text.len();
        text.extend([name, value]);
        let variable = Variable { name: start, value: start + name.len(), end: text.len() };
        if let Some(place) = place {
            variables[place] = variable;
            return Ok(());
        }
        if let Some(places) = &mut self.places {
            places.insert(name, variables.len());
        }
        variables.push(variable);
        Ok(())
    }

    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), SetupTooLong> {
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(SetupTooLong)?;
        Ok(())
    }

    /// `text` with its references replaced, in `out` if it has any.
    pub(super) fn expand<'o>(&self, text: &'o str, out: &'o mut String) -> Result<&'o str, SetupTooLong> {
        if !text.contains('$') {
            return if text.len() <= self.bytes_left { Ok(text) } else { Err(SetupTooLong) };
        }
        expand(out, text, self.bytes_left, |name| self.get(name)).ok_or(SetupTooLong)
    }

    /// Adds all of it to `records`, each as `NAME=value`.
    pub(super) fn write(&self, records: &mut Records) {
        for variable in &self.room.variables {
            records.push(&[self.room.name(*variable), "=", self.room.value(*variable)]);
        }
    }
}
