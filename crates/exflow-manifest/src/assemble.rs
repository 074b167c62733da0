//! Many files: manifests to one [`Workspace`].

use crate::grammar::quoted;
use crate::members::Members;
use crate::model::{
    Base, Fetch, Fetched, Manifest, Project, ProjectNode, Spanned, Stage, StageKind, Workspace,
    WorkspaceNode,
};
use crate::needs::{check_needs, order};
use crate::problems::{
    DUPLICATE, MISPLACED, MISSING_NODE, NO_MEMBER, NO_PROJECT, UNKNOWN_BASE, UNKNOWN_PLUGIN,
    suggestion,
};
use exflow_content::RelPath;
use exflow_diagnostics::{Diagnostic, Diagnostics, Site, SourceName};
use std::collections::{BTreeMap, BTreeSet};

/// The base of a stage that runs commands and names none.
pub const DEFAULT_BUILDER: &str = "builder";
/// The base of a runtime stage that names none.
pub const DEFAULT_RUNNER: &str = "runner";

/// Puts the manifests of a workspace together: the one at its root, whose name is `source`, and
/// those of its members by folder. `builtin` are the plugins that need no declaration.
///
/// Reports every problem. Projects are sorted by name: their order in files does not matter.
pub fn assemble(
    source: &SourceName,
    root: Manifest,
    members: Vec<(RelPath, Manifest)>,
    builtin: &[&str],
) -> Result<Workspace, Diagnostics> {
    let mut problems = Diagnostics::new();
    let folders: Vec<&RelPath> = members.iter().map(|(folder, _)| folder).collect();
    for pattern in Members::of(&root).without(&folders) {
        problems.push(
            Diagnostic::error(NO_MEMBER, format!("no member matches `{}`", pattern.value))
                .at(&pattern.site, "no folder with an `exflow.kdl` here")
                .help("a member is a folder with an `exflow.kdl` that declares a project"),
        );
    }
    let Manifest {
        workspace,
        bases: base_nodes,
        plugins: plugin_nodes,
        fetches: fetch_nodes,
        projects: nodes,
    } = root;
    let executor = workspace.as_ref().and_then(|node| node.executor);
    let mirror = |of: fn(&WorkspaceNode) -> &Option<Spanned<String>>| {
        Some(of(workspace.as_ref()?).as_ref()?.value.clone())
    };
    let debian_mirror = mirror(|node| &node.debian_mirror);
    let security_mirror = mirror(|node| &node.security_mirror);
    let alpine_mirror = mirror(|node| &node.alpine_mirror);
    let name = workspace.as_ref().map(|node| &node.name);
    let name = name.or(nodes.first().map(|node| &node.name));
    let name = name.map(|name| name.value.clone()).unwrap_or_default();
    let registries = workspace.map(|node| node.registries).unwrap_or_default();
    let bases = by_name(base_nodes, |base| &base.name, "base", &mut problems);
    let plugins = by_name(plugin_nodes, |plugin| &plugin.name, "plugin", &mut problems);
    let fetches = by_name(fetch_nodes, |fetch| &fetch.name, "fetch", &mut problems);
    let mut found: Vec<(RelPath, ProjectNode)> = Vec::new();
    found.extend(nodes.into_iter().map(|node| (RelPath::root(), node)));
    for (folder, manifest) in members {
        misplaced(&manifest, &mut problems);
        let nodes = manifest.projects.into_iter();
        found.extend(nodes.map(|node| (folder.clone(), node)));
    }
    if found.is_empty() && !problems.has_errors() {
        problems.push(
            Diagnostic::error(NO_PROJECT, "there is no project in this workspace")
                .at(&Site::new(source, 0..0), "")
                .help("declare one: `project \"my_app\" { release-tool \"mix-release\" }`"),
        );
    }
    let mut projects: BTreeMap<String, Project> = BTreeMap::new();
    for (folder, node) in found {
        if let Some(tool) = &node.tool {
            let known = || builtin.iter().copied().chain(plugins.keys().map(String::as_str));
            let name = &tool.plugin.value;
            if !known().any(|known| known == name) {
                let help = suggestion(name, known(), &problems).map_or_else(
                    || format!("known: {}", quoted(known())),
                    |near| format!("did you mean `{near}`?"),
                );
                problems.push(
                    Diagnostic::error(UNKNOWN_PLUGIN, format!("unknown release tool `{name}`"))
                        .at(&tool.plugin.site, "no plugin has this name")
                        .help(help + ", or declare a plugin of your own: `plugin \"name\" path=\"…\"`"),
                );
            }
        }
        let project = put_together(folder, node, &fetches, &mut problems);
        for stage in project.stages.values() {
            known_base(&project, stage, &bases, &mut problems);
        }
        let name = project.name.clone();
        if let Some(first) = projects.insert(name.value.clone(), project) {
            problems.push(twice("project", &name, &first.name.site));
        }
    }
    let stages = projects.values().flat_map(|project| project.stages.values());
    let used: BTreeSet<&String> =
        stages.filter_map(|stage| stage.base.as_ref()).map(|base| &base.value).collect();
    let bases = bases.into_iter().filter(|(name, _)| used.contains(name)).collect();
    let needs =
        projects.values().flat_map(|project| project.stages.values()).flat_map(|it| &it.needs);
    let needed: BTreeSet<String> = needs.map(|need| need.name.value.clone()).collect();
    let fetches = fetches.into_iter().filter(|(name, _)| needed.contains(name)).collect();
    let projects = projects.into_values().collect();
    problems.into_result(Workspace {
        name,
        bases,
        plugins,
        fetches,
        projects,
        executor,
        debian_mirror,
        security_mirror,
        alpine_mirror,
        registries,
    })
}

fn twice(what: &str, name: &Spanned<String>, first: &Site) -> Diagnostic {
    Diagnostic::error(DUPLICATE, format!("{what} `{}` is declared twice", name.value))
        .at(&name.site, "again here")
        .at(first, "first here")
        .help("give one of them another name")
}

fn by_name<T>(
    nodes: Vec<T>,
    name: impl Fn(&T) -> &Spanned<String>,
    what: &str,
    problems: &mut Diagnostics,
) -> BTreeMap<String, T> {
    let mut known: BTreeMap<String, T> = BTreeMap::new();
    for node in nodes {
        if let Some(first) = known.get(&name(&node).value) {
            problems.push(twice(what, name(&node), &name(first).site));
        }
        known.insert(name(&node).value.clone(), node);
    }
    known
}

/// What a member's manifest may not hold.
fn misplaced(manifest: &Manifest, problems: &mut Diagnostics) {
    let workspace = manifest.workspace.iter().map(|node| ("workspace", &node.name.site));
    let bases = manifest.bases.iter().map(|node| ("base", &node.site));
    let plugins = manifest.plugins.iter().map(|node| ("plugin", &node.name.site));
    let fetches = manifest.fetches.iter().map(|node| match node.what {
        Fetched::File { .. } => ("fetch", &node.site),
        Fetched::Git { .. } => ("git", &node.site),
    });
    for (what, site) in workspace.chain(bases).chain(plugins).chain(fetches) {
        problems.push(
            Diagnostic::error(MISPLACED, format!("`{what}` in the manifest of a member"))
                .at(site, "not here")
                .help("declare it in the `exflow.kdl` at the root of the workspace"),
        );
    }
}

/// The project with every stage that it has: those that its tool supplies need not be written.
fn put_together(
    folder: RelPath,
    node: ProjectNode,
    fetches: &BTreeMap<String, Fetch>,
    problems: &mut Diagnostics,
) -> Project {
    let ProjectNode { name, tool, stages: written } = node;
    let mut stages: BTreeMap<String, Stage> =
        written.into_iter().map(|stage| (stage.kind.name().to_owned(), stage)).collect();
    for kind in [StageKind::Deps, StageKind::Release, StageKind::Runtime] {
        match (&tool, stages.get(kind.name())) {
            (Some(tool), None) => {
                let site = tool.plugin.site.clone();
                stages.insert(kind.name().to_owned(), empty_stage(kind, site));
            }
            (None, Some(stage)) => problems.push(
                Diagnostic::error(
                    MISSING_NODE,
                    format!("stage `{}` in a project without a release tool", kind.name()),
                )
                .at(&stage.site, "a release tool supplies this stage")
                .help("say which: `release-tool \"mix-release\"`"),
            ),
            _ => {}
        }
    }
    for stage in stages.values_mut() {
        if stage.base.is_none() {
            let default =
                if stage.kind == StageKind::Runtime { DEFAULT_RUNNER } else { DEFAULT_BUILDER };
            stage.base = Some(Spanned { value: default.to_owned(), site: stage.site.clone() });
        }
    }
    check_needs(&name, &stages, fetches, problems);
    let own_stages = order(&stages, problems);
    Project { name, folder, tool, stages, own_stages }
}

fn empty_stage(kind: StageKind, site: Site) -> Stage {
    Stage {
        kind,
        base: None,
        env: BTreeMap::new(),
        needs: Vec::new(),
        inputs: Vec::new(),
        run: None,
        outputs: Vec::new(),
        expose: Vec::new(),
        user: None,
        command: None,
        labels: BTreeMap::new(),
        time_limit: None,
        site,
    }
}

fn known_base(
    project: &Project,
    stage: &Stage,
    bases: &BTreeMap<String, Base>,
    problems: &mut Diagnostics,
) {
    let Some(base) = &stage.base else { return };
    if bases.contains_key(&base.value) {
        return;
    }
    let help = suggestion(&base.value, bases.keys().map(String::as_str), problems).map_or_else(
        || {
            format!(
                "declare it: `base \"{}\" {{ debian \"bookworm\"; packages \"…\" }}`",
                base.value
            )
        },
        |near| format!("did you mean `{near}`?"),
    );
    problems.push(
        Diagnostic::error(UNKNOWN_BASE, format!("there is no base `{}`", base.value))
            .at(
                &base.site,
                format!("stage `{}` of `{}` stands on it", stage.kind.name(), project.name.value),
            )
            .help(help),
    );
}
