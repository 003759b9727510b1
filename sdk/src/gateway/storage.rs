//! Where a cursor outlives its client.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Keeps small texts by key. A failure to keep one is no error: replay begins earlier then.
pub trait ReplayStorage {
    /// What was last set.
    fn get_item(&self, key: &str) -> Option<String>;
    /// Keeps a text.
    fn set_item(&self, key: &str, value: &str);
    /// Forgets it.
    fn remove_item(&self, key: &str);
}

#[cfg(not(target_arch = "wasm32"))]
pub(super) type BoxedStorage = Box<dyn ReplayStorage + Send>;
#[cfg(target_arch = "wasm32")]
pub(super) type BoxedStorage = Box<dyn ReplayStorage>;

/// Keeps for as long as the process lives. Clones share what they keep.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage(Arc<Mutex<HashMap<String, String>>>);

impl ReplayStorage for MemoryStorage {
    fn get_item(&self, key: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn set_item(&self, key: &str, value: &str) {
        let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        items.insert(key.to_owned(), value.to_owned());
    }

    fn remove_item(&self, key: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// The browser's `localStorage`; keeps nothing where the browser forbids it.
#[cfg(target_arch = "wasm32")]
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalStorage;

#[cfg(target_arch = "wasm32")]
impl LocalStorage {
    fn storage() -> Option<web_sys::Storage> {
        web_sys::window()?.local_storage().ok()?
    }
}

#[cfg(target_arch = "wasm32")]
impl ReplayStorage for LocalStorage {
    fn get_item(&self, key: &str) -> Option<String> {
        Self::storage()?.get_item(key).ok()?
    }

    fn set_item(&self, key: &str, value: &str) {
        if let Some(storage) = Self::storage() {
            // A full storage costs a longer replay, nothing else.
            storage.set_item(key, value).ok();
        }
    }

    fn remove_item(&self, key: &str) {
        if let Some(storage) = Self::storage() {
            storage.remove_item(key).ok();
        }
    }
}
