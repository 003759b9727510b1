//! Secrets that sandboxes get into their environment by name.

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::{
    Client, Error,
    answer::decode,
    http::{Call, segment},
};
use crate::types::SecretInfo;

const PATH: &str = "/v1/secrets";

/// See [`Client::secrets`].
#[derive(Clone, Copy, Debug)]
pub struct Secrets<'a>(pub(super) &'a Client);

#[derive(Deserialize)]
struct Listed {
    secrets: Vec<SecretInfo>,
}

#[derive(Deserialize)]
struct Shown {
    value: String,
}

impl Client {
    /// What is kept for the environments of sandboxes.
    pub fn secrets(&self) -> Secrets<'_> {
        Secrets(self)
    }
}

impl Secrets<'_> {
    /// Keeps a value. Never repeated.
    ///
    /// # Errors
    /// 400 for a name that no variable can have, 409 when there is a secret of that name.
    pub async fn create(&self, name: &str, value: &SecretString) -> Result<SecretInfo, Error> {
        let body = json!({"name": name, "value": value.expose_secret()});
        let call = self.call(Method::POST, PATH.into()).json(&body)?;
        decode(&self.0.send(call).await?, "a secret")
    }

    /// All secrets, without their values.
    ///
    /// # Errors
    /// When they could not be read.
    pub async fn list(&self) -> Result<Vec<SecretInfo>, Error> {
        let call = self.call(Method::GET, PATH.into());
        let listed: Listed = decode(&self.0.send(call).await?, "a list of secrets")?;
        Ok(listed.secrets)
    }

    /// The value of a secret; `None` when there is no such.
    ///
    /// # Errors
    /// When it could not be read.
    pub async fn get(&self, name: &str) -> Result<Option<SecretString>, Error> {
        match self.0.send(self.call_of(Method::GET, name)?).await {
            Ok(body) => decode(&body, "a secret").map(|shown: Shown| Some(shown.value.into())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives a secret another value. Sandboxes have it from their next start on.
    ///
    /// # Errors
    /// 404 for an unknown secret.
    pub async fn update(&self, name: &str, value: &SecretString) -> Result<SecretInfo, Error> {
        let body = json!({"value": value.expose_secret()});
        let call = self.call_of(Method::PATCH, name)?.json(&body)?;
        decode(&self.0.send(call).await?, "a secret")
    }

    /// Removes a secret. One that is gone already is no error.
    ///
    /// # Errors
    /// When it is unknown whether it was removed.
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        match self.0.send(self.call_of(Method::DELETE, name)?).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    fn call_of(&self, method: Method, name: &str) -> Result<Call<'_>, Error> {
        Ok(self.call(method, format!("{PATH}/{}", segment(name)?)))
    }

    fn call(&self, method: Method, path: String) -> Call<'_> {
        Call::new(&self.0.inner.api, method, path)
    }
}
