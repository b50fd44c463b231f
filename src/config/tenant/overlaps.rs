//! Names that logins and mapping rules of different tenants know both. A client that says no tenant cannot mean both of
//! them: the operator is to know before a partner stands outside.

use causeway_core::identity::{Automaton, Mapping, SharedName};

use super::Declared;
use crate::config::report::{Report, Spot};

/// How many steps are taken to compare the rules of one file, some seconds' worth.
const BUDGET: usize = 20_000_000;

struct Rule<'d> {
    tenant: &'d str,
    mapping: &'d Mapping,
    spot: &'d Spot,
    names: Option<Automaton>,
}

/// Warns of every mapping that knows a name of an earlier tenant's mapping, or of any other tenant's login.
pub fn check(report: &Report, tenants: &[Declared]) {
    let mappings = |declared| {
        let Declared { record, mapping_spots, .. }: &Declared = declared;
        record.mappings.iter().zip(mapping_spots).map(move |(mapping, spot)| Rule {
            tenant: &record.tenant.id,
            mapping,
            spot,
            names: None,
        })
    };
    let mut rules: Vec<Rule<'_>> = tenants.iter().flat_map(mappings).collect();
    if rules.is_empty() || tenants.len() < 2 {
        return;
    }
    for rule in &mut rules {
        rule.names = rule.mapping.username.automaton();
    }
    for rule in &rules {
        logins(report, rule, tenants);
    }
    let mut budget = BUDGET;
    for (at, rule) in rules.iter().enumerate() {
        for earlier in rules.iter().take(at).filter(|earlier| earlier.tenant != rule.tenant) {
            between(report, earlier, rule, &mut budget);
        }
    }
}

/// A login wins over the rules of other tenants.
fn logins(report: &Report, rule: &Rule<'_>, tenants: &[Declared]) {
    let (tenant, id) = (rule.tenant, &rule.mapping.id);
    for other in tenants.iter().filter(|other| &*other.record.tenant.id != tenant) {
        let taken = other.record.logins.iter().find(|login| rule.mapping.login(&login.username).is_some());
        if let Some(login) = taken {
            let (name, owner) = (&login.username, &other.record.tenant.id);
            report.warning(
                rule.spot,
                format!(
                    "mapping `{id}` of tenant `{tenant}` knows the name `{name}`, which means the login `{name}` of tenant \
                     `{owner}`: by this rule it comes in as `{name}@{tenant}` alone; tell the partner to log in so, or \
                     change the pattern"
                ),
            );
        }
    }
}

fn between(report: &Report, earlier: &Rule<'_>, rule: &Rule<'_>, budget: &mut usize) {
    let (Some(one), Some(two)) = (&earlier.names, &rule.names) else { return };
    let (id, tenant, other, owner) = (&rule.mapping.id, rule.tenant, &earlier.mapping.id, earlier.tenant);
    let both = format!("mapping `{id}` of tenant `{tenant}` and mapping `{other}` of tenant `{owner}`");
    let known = |name: &str| [earlier, rule].iter().all(|rule| rule.mapping.login(name).is_some());
    let message = match one.shared_name(two, budget) {
        SharedName::Nothing => return,
        SharedName::Name(name) if known(&name) => format!(
            "{both} know the same names, like `{name}`: neither lets it in; tell the partners to log in as \
             `{name}@{owner}` or `{name}@{tenant}`, or make the patterns differ"
        ),
        SharedName::Name(_) => format!(
            "{both} may know the same names, which neither lets in then; tell the partners to log in with `@{owner}` or \
             `@{tenant}` behind their names, or make the patterns differ"
        ),
        SharedName::Unknown => format!(
            "{both} were not compared, that would take too long; see to it that no name fits both, or have the partners \
             log in with `@{owner}` or `@{tenant}` behind their names"
        ),
    };
    report.warning(rule.spot, message);
}
