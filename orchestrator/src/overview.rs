//! What is installed and configured on this machine, as a table for people.

use sandbox_sdk::types::{AgentCatalog, AgentInfo};

use crate::{
    Config,
    agents::{self, AgentProgram},
    models::ModelGateway,
};

/// Below the model of a turn that names none: what it costs is not known here.
const ONLY_WITH_A_PRICE: &str = "  The page offers it only if it has a price, in the file that \
                                 SKEIN_PRICES names or among the built-in ones";

/// Agents with their versions and places, providers of models with the variables they are configured
/// by, and what a turn is run with that names neither. No key, and no part of one.
///
/// # Errors
/// Words that name the variable, when an address or a key can't be one.
pub async fn overview(config: &Config) -> Result<String, String> {
    let folders = config.agents_folders();
    let programs = agents::installed(&folders, std::env::var_os("PATH").as_deref());
    let looked_in = folders.clone();
    let gateway = ModelGateway::new(&config.models, move || agents::catalog(&looked_in))?;
    let catalog = gateway.catalog().await;
    let agents: Vec<_> = catalog.agents.iter().map(|agent| row(agent, &programs)).collect();
    let models = gateway.overview(&config.models).await;
    let models: Vec<_> = models.into_iter().map(|(id, words)| [id, words]).collect();
    let default = default(&catalog);
    let places: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    let places = places.join(", ");
    Ok(format!(
        "Agents, in {places} or on the PATH\n{}\nModels\n{}\nWithout a choice: {default}\n",
        table(&agents),
        table(&models)
    ))
}

/// What a turn is run with that names neither.
fn default(catalog: &AgentCatalog) -> String {
    let id = &catalog.default_agent;
    let agent = catalog.agents.iter().find(|agent| agent.id == *id && agent.available);
    match (agent, &catalog.default_model) {
        (None, _) => format!("{id}, which is not here"),
        (Some(agent), _) if agent.formats.is_empty() => id.clone(),
        (Some(_), Some(model)) => format!("{id} with {model}\n{ONLY_WITH_A_PRICE}"),
        (Some(_), None) => format!("{id}, which has no model"),
    }
}

/// Id, version, and where it is or how it is had.
fn row(agent: &AgentInfo, programs: &[AgentProgram]) -> [String; 3] {
    let program = programs.iter().find(|program| program.cli.id() == agent.id);
    let place = match program {
        Some(program) => program.path().display().to_string(),
        None if agent.available && agent.formats.is_empty() => {
            "built in; needs no model".to_owned()
        }
        None if agent.available => "built in".to_owned(),
        None => format!("not installed: cargo xtask agents install {}", agent.id),
    };
    [agent.id.clone(), agent.version.clone().unwrap_or_else(|| "–".to_owned()), place]
}

/// Rows in columns, two spaces in.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().enumerate().map(|(at, cell)| {
            let width = width(at);
            format!("  {cell:<width$}")
        });
        text.push_str(cells.collect::<String>().trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn lines(config: &Config) -> Vec<String> {
        let text = overview(config).await.unwrap();
        assert!(!text.contains("secret"), "{text}");
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[tokio::test]
    async fn agents_stand_with_their_places_and_providers_with_their_variables() {
        let data = tempfile::tempdir().unwrap();
        let codex = data.path().canonicalize().unwrap().join("agents/codex/codex");
        fs::create_dir_all(codex.parent().unwrap()).unwrap();
        fs::write(&codex, b"\x7fELF...").unwrap();
        let mut config = Config::new(data.path());
        let lines_then = lines(&config).await;
        assert!(lines_then.contains(&format!("codex – {}", codex.display())), "{lines_then:?}");
        assert!(lines_then.contains(&"Without a choice: demo".to_owned()), "{lines_then:?}");
        let is_about_prices = |line: &String| line.contains("SKEIN_PRICES");
        assert!(!lines_then.iter().any(is_about_prices), "{lines_then:?}");
        config.models.openai_api_key = Some("sk-secret".into());
        config.models.openai_base_url = Some("http://127.0.0.1:1".to_owned());
        config.models.default_model = Some("openai/gpt-5".to_owned());
        config.models.default_agent = Some("skein".to_owned());
        let lines_now = lines(&config).await;
        let openai = "openai key in OPENAI_API_KEY, http://127.0.0.1:1/v1: no models listed: it \
                      can't be reached";
        assert!(lines_now.contains(&openai.to_owned()), "{lines_now:?}");
        let default = "Without a choice: skein with openai/gpt-5".to_owned();
        assert!(lines_now.contains(&default), "{lines_now:?}");
        // The product may have no price for it, and then its page does not offer it.
        assert!(lines_now.last().is_some_and(is_about_prices), "{lines_now:?}");
        config.models.default_agent = Some("nobody".to_owned());
        let default = "Without a choice: nobody, which is not here".to_owned();
        assert!(lines(&config).await.contains(&default));
    }

    #[test]
    fn an_agent_that_is_missing_stands_with_the_command_that_installs_it() {
        let missing = AgentInfo { id: "codex".to_owned(), ..AgentInfo::default() };
        let [id, version, place] = row(&missing, &[]);
        assert_eq!((id.as_str(), version.as_str()), ("codex", "–"));
        assert_eq!(place, "not installed: cargo xtask agents install codex");
    }

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let rows = [["a", "–", "x"], ["long", "1.2", "yy"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "  a     –    x\n  long  1.2  yy\n");
    }
}
