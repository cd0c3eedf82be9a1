//! Alert rules: seeing and editing them. An edit counts from the next run of each scan on.

use super::UseCaseError;
use crate::Coordinator;
use crate::accounts::{Actor, Right};
use crate::analysis::alert::{Rule, Severity, default_rules};
use crate::analysis::delta::PortId;
use crate::audit;
use crate::rules::{MAX_RULES, RuleError, check_name, in_force, is_of};
use crate::store::Draft;
use crate::store::tables::RULES;
use protocol::Timestamp;

impl From<RuleError> for UseCaseError {
    fn from(error: RuleError) -> Self {
        Self::Invalid { field: error.field(), reason: error.to_string() }
    }
}

fn words(rule: &Rule) -> String {
    format!("{}/{} {} {}", rule.port, rule.protocol, rule.severity.name(), rule.name)
}

fn change(
    draft: &mut Draft,
    actor: &Actor,
    port: PortId,
    rule: Option<&Rule>,
    now: Timestamp,
) -> Result<Option<Rule>, UseCaseError> {
    let mut rules = in_force(draft)?;
    let former = rules.iter().position(|rule| is_of(rule, port)).map(|place| rules.remove(place));
    if rule.is_some() && rules.len() >= MAX_RULES {
        return Err(RuleError::TooMany.into());
    }
    rules.extend(rule.cloned());
    let was = former.as_ref().map(|rule| format!("was {}", words(rule)));
    let told: Vec<String> = rule.map(words).into_iter().chain(was).collect();
    audit::note(draft, actor, if rule.is_some() { "rule set" } else { "rule remove" }, &told.join(", "), now)?;
    draft.put(&RULES, &(), &rules)?;
    Ok(former)
}

impl Coordinator {
    /// The rules in force, the worst first.
    pub async fn rules(&self, actor: &Actor) -> Result<Vec<Rule>, UseCaseError> {
        actor.require(Right::Read)?;
        Ok(self.store().read(in_force).await?)
    }

    /// Makes the rule of a port, or replaces it.
    pub async fn set_rule(
        &self,
        actor: &Actor,
        port: PortId,
        name: &str,
        severity: Severity,
    ) -> Result<Rule, UseCaseError> {
        actor.require(Right::Administer)?;
        let rule = Rule { name: check_name(name)?, severity, protocol: port.protocol, port: port.port };
        let (now, who, kept) = (Timestamp::now(), actor.clone(), rule.clone());
        self.store().update(move |draft| change(draft, &who, port, Some(&kept), now)).await?;
        Ok(rule)
    }

    /// Removes the rule of a port; gives it back.
    pub async fn remove_rule(&self, actor: &Actor, port: PortId) -> Result<Rule, UseCaseError> {
        actor.require(Right::Administer)?;
        let (now, who) = (Timestamp::now(), actor.clone());
        let remove = move |draft: &mut Draft| {
            let former = change(draft, &who, port, None, now)?;
            former.ok_or_else(|| UseCaseError::NotFound(format!("rule for {}/{}", port.port, port.protocol), "rules"))
        };
        self.store().update(remove).await
    }

    /// Takes every edit back; gives the default rules.
    pub async fn reset_rules(&self, actor: &Actor) -> Result<Vec<Rule>, UseCaseError> {
        actor.require(Right::Administer)?;
        let (now, who) = (Timestamp::now(), actor.clone());
        self.store()
            .update(move |draft| {
                draft.remove(&RULES, &())?;
                audit::note(draft, &who, "rule reset", &format!("{} rules", default_rules().len()), now)?;
                in_force(draft).map_err(UseCaseError::from)
            })
            .await
    }
}
