//! The container that libcontainer is asked for, as the OCI runtime specification describes it.

use super::job::Job;
use crate::view::HOST_NAME;
use libcontainer::oci_spec::OciSpecError;
use libcontainer::oci_spec::runtime::{
    Capabilities, Capability, LinuxBuilder, LinuxCapabilitiesBuilder, LinuxNamespaceBuilder,
    LinuxNamespaceType, Mount, MountBuilder, ProcessBuilder, RootBuilder, Spec, SpecBuilder,
    UserBuilder,
};
use std::path::Path;

/// What root may do in the sandbox. It is only root of a namespace with a single user, so this
/// says what programs may try: to build packages and to change owners to themselves, not more.
const CAPABILITIES: &[Capability] = &[
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::NetBindService,
    Capability::Setfcap,
    Capability::Setgid,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysChroot,
];

/// The specification of the container for `job`, whose root file system is at `root`.
pub(super) fn container(job: &Job, root: &Path) -> Result<Spec, OciSpecError> {
    let capabilities: Capabilities = CAPABILITIES.iter().copied().collect();
    let process = ProcessBuilder::default()
        .terminal(false)
        .user(UserBuilder::default().uid(0u32).gid(0u32).umask(0o022u32).build()?)
        .args(job.argv.clone())
        .env(job.env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>())
        .cwd(format!("/{}", job.workdir.as_str().unwrap_or_default()))
        .capabilities(
            LinuxCapabilitiesBuilder::default()
                .bounding(capabilities.clone())
                .effective(capabilities.clone())
                .permitted(capabilities.clone())
                .inheritable(Capabilities::default())
                .ambient(Capabilities::default())
                .build()?,
        )
        .no_new_privileges(true)
        .rlimits(Vec::new())
        .build()?;
    let mut namespaces = vec![
        LinuxNamespaceType::Pid,
        LinuxNamespaceType::Ipc,
        LinuxNamespaceType::Uts,
        LinuxNamespaceType::Mount,
    ];
    if !job.interactive {
        namespaces.push(LinuxNamespaceType::Network);
    }
    let namespaces = namespaces
        .into_iter()
        .map(|kind| LinuxNamespaceBuilder::default().typ(kind).build())
        .collect::<Result<Vec<_>, _>>()?;
    let mut linux = LinuxBuilder::default()
        .namespaces(namespaces)
        .masked_paths(
            ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi"]
                .map(str::to_owned)
                .to_vec(),
        )
        .readonly_paths(
            ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
                .map(str::to_owned)
                .to_vec(),
        )
        .devices(Vec::new())
        .build()?;
    // The default limits devices by a control group, and there is none.
    linux.set_resources(None);
    SpecBuilder::default()
        .version("1.0.2")
        .process(process)
        .root(RootBuilder::default().path(root).readonly(false).build()?)
        .hostname(HOST_NAME)
        .mounts(mounts()?)
        .linux(linux)
        .build()
}

fn mounts() -> Result<Vec<Mount>, OciSpecError> {
    let mount = |at: &str, kind: &str, options: &[&str]| {
        MountBuilder::default()
            .destination(at)
            .typ(kind)
            .source(kind)
            .options(options.iter().map(|&option| option.to_owned()).collect::<Vec<_>>())
            .build()
    };
    Ok(vec![
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"])?,
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"])?,
        mount(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
        )?,
        mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"])?,
    ])
}
