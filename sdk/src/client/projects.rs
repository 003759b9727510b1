//! The orchestrator's projects.

use reqwest::Method;

use super::{
    Client, Error,
    answer::decode,
    http::{Call, segment},
};
use crate::types::{CreateProject, Project};

const PATH: &str = "/projects";

/// See [`Client::projects`].
#[derive(Clone, Copy, Debug)]
pub struct Projects<'a>(pub(super) &'a Client);

impl Projects<'_> {
    /// Makes a project and its sandbox. Never repeated unless the caller chose the reference, which
    /// names the same project the second time.
    ///
    /// # Errors
    /// 400 for a body the orchestrator does not take.
    pub async fn create(&self, create: &CreateProject) -> Result<Project, Error> {
        let repeatable = create.project_ref.is_some();
        let call = self.call(Method::POST, PATH.into()).json(create)?.repeatable(repeatable);
        decode(&self.0.send(call).await?, "a project")
    }

    /// A project; `None` when there is no such.
    ///
    /// # Errors
    /// When it could not be read.
    pub async fn get(&self, project_ref: &str) -> Result<Option<Project>, Error> {
        let call = self.call(Method::GET, format!("{PATH}/{}", segment(project_ref)?));
        match self.0.send(call).await {
            Ok(body) => decode(&body, "a project").map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes a project with its sandbox. One that is gone already is no error.
    ///
    /// # Errors
    /// When it is unknown whether it was deleted.
    pub async fn delete(&self, project_ref: &str) -> Result<(), Error> {
        let call = self.call(Method::DELETE, format!("{PATH}/{}", segment(project_ref)?));
        match self.0.send(call).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    fn call(&self, method: Method, path: String) -> Call<'_> {
        Call::new(&self.0.inner.orchestrator, method, path)
    }
}
