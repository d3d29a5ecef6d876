//! Writes through the router, over a whole engine.

mod delete;
mod goldens;
mod jobs;
mod namespaces;
mod nodes;
mod pods;
mod priority_classes;
mod rules;
