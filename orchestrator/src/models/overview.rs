//! Which providers are configured and found, in words for the operator.

use super::{
    LocalModels, ModelGateway, ModelsConfig, config,
    listing::{Listing, counted},
    provider::{ANTHROPIC, CUSTOM, OPENAI, Provider},
};

impl ModelGateway {
    /// Every provider there could be, with what it is configured by and what it has. Keys are named
    /// by their variables.
    pub(crate) async fn overview(&self, config: &ModelsConfig) -> Vec<(String, String)> {
        let catalog = &self.0.catalog;
        let listing = catalog.listing().await;
        let mut rows = Vec::new();
        for id in [ANTHROPIC, OPENAI, CUSTOM] {
            let provider = catalog.configured.iter().find(|provider| provider.id == id);
            rows.push((id.to_owned(), configured(id, provider, &listing)));
        }
        for (id, url) in &config.local_servers {
            // With its `/v1`, as its provider has it.
            let known =
                catalog.configured.iter().find(|known| known.address() == format!("{url}/v1"));
            let words = match known {
                Some(known) => format!("{url} is configured as {}", known.id),
                None if config.local_models == LocalModels::Off => {
                    "not looked for: SKEIN_LOCAL_MODELS is off".to_owned()
                }
                None if listing.provider(id).is_some() => {
                    format!("found at {url}: {}", models(id, &listing))
                }
                None => format!("not found at {url}"),
            };
            rows.push((id.clone(), words));
        }
        rows
    }
}

fn configured(id: &str, provider: Option<&Provider>, listing: &Listing) -> String {
    let (key, url) = config::variables(id).unwrap_or_default();
    let Some(provider) = provider else {
        return format!("not configured: set {}", if id == CUSTOM { url } else { key });
    };
    let by = if provider.has_key() { format!("key in {key}") } else { "without a key".to_owned() };
    let has = match listing.problem(id) {
        Some(problem) => format!("no models listed: {problem}"),
        None => models(id, listing),
    };
    format!("{by}, {}: {has}", provider.address())
}

fn models(provider: &str, listing: &Listing) -> String {
    let models = listing.models.iter().filter(|model| model.provider == provider).count();
    match (models, listing.names(Some(provider)).len()) {
        (0, others @ 1..) => format!("{}, none known to hold a conversation", counted(others)),
        _ => counted(models),
    }
}
