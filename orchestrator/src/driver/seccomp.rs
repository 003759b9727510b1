//! System calls that a sandbox has no business with: what the kernel would mostly refuse anyway, and
//! the parts of it where most holes have been found.

use std::{collections::BTreeMap, io};

use libc::c_long;
use seccompiler::{
    BackendError, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
};

/// Calls that libc has no names for yet. The numbers are the same on every architecture.
const STATMOUNT: c_long = 457;
const LISTMOUNT: c_long = 458;
const OPEN_TREE_ATTR: c_long = 467;

/// Refused with "operation not permitted", whatever the arguments.
const DENIED: &[c_long] = &[
    // mounts
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    OPEN_TREE_ATTR,
    STATMOUNT,
    LISTMOUNT,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    // other processes
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_setns,
    // parts of the kernel with a history
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    libc::SYS_fanotify_init,
    libc::SYS_lookup_dcookie,
    // the machine
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_vhangup,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    // around the path checks
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
];

#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[c_long] =
    &[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt, libc::SYS_uselib];
#[cfg(not(target_arch = "x86_64"))]
const DENIED_HERE: &[c_long] = &[];

/// Process id of the sandbox's init, which is the sidecar.
const INIT: u64 = 1;

/// Calls that say by their first argument whose place among those that run they change.
const SCHEDULING: &[c_long] = &[
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
];

/// The same with what is meant first: a process, a group, or all of a user, which is this number.
const PRIORITIES: &[(c_long, u64)] = &[(libc::SYS_setpriority, 2), (libc::SYS_ioprio_set, 3)];

const NEW_NAMESPACES: &[i32] = &[
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// All that programs use: others reach past the network namespace (virtual machines' sockets), or
/// parts of the kernel that ordinary programs never see.
const SOCKET_FAMILIES: &[i32] = &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// The filter as bubblewrap reads it: the kernel's instructions one after the other.
pub(super) fn deny_list() -> io::Result<Vec<u8>> {
    let program = prelude().into_iter().chain(compile().map_err(io::Error::other)?);
    Ok(program.flat_map(bytes).collect())
}

/// Puts this thread and all that comes of it under the filter, besides any that it is under already.
pub(crate) fn confine() -> io::Result<()> {
    let program: Vec<_> =
        prelude().into_iter().chain(compile().map_err(io::Error::other)?).collect();
    seccompiler::apply_filter(&program).map_err(io::Error::other)
}

fn compile() -> Result<Vec<sock_filter>, seccompiler::Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        DENIED.iter().chain(DENIED_HERE).map(|call| (*call, vec![])).collect();
    let equal = SeccompCmpOp::Eq;
    // Typing into, or remote-controlling, the terminal that the orchestrator was started from.
    rules.insert(libc::SYS_ioctl, any_of(1, &[libc::TIOCSTI, libc::TIOCLINUX], |_| equal.clone())?);
    for call in [libc::SYS_unshare, libc::SYS_clone] {
        let flags: Vec<u64> =
            NEW_NAMESPACES.iter().map(|flag| u64::from(flag.cast_unsigned())).collect();
        rules.insert(call, any_of(0, &flags, SeccompCmpOp::MaskedEq)?);
    }
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        rules.insert(call, vec![none_of(0, SOCKET_FAMILIES)?]);
    }
    spare_init(&mut rules)?;
    let arch = std::env::consts::ARCH.try_into()?;
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    Ok(SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)?.try_into()?)
}

/// Refuses what would cripple the sidecar, whom all that runs in the sandbox shares the uid with.
fn spare_init(rules: &mut BTreeMap<i64, Vec<SeccompRule>>) -> Result<(), BackendError> {
    let is = |argument, value| any_of(argument, &[value], |_| SeccompCmpOp::Eq);
    for call in SCHEDULING {
        rules.insert(*call, is(0, INIT)?);
    }
    for (call, of_a_user) in PRIORITIES {
        let mut refused = is(1, INIT)?;
        refused.extend(is(0, *of_a_user)?);
        rules.insert(*call, refused);
    }
    // Limits are those of a whole process, and any of its threads stands for it. Nobody knows their
    // ids beforehand, so the limits of all others can be read but not set.
    let another = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, 0)?;
    let sets = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)?;
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![another, sets])?]);
    Ok(())
}

/// One rule for each value: they are alternatives.
fn any_of(
    argument: u8,
    values: &[u64],
    operator: impl Fn(u64) -> SeccompCmpOp,
) -> Result<Vec<SeccompRule>, BackendError> {
    let rule = |value: &u64| {
        let length = SeccompCmpArgLen::Dword;
        let condition = SeccompCondition::new(argument, length, operator(*value), *value)?;
        SeccompRule::new(vec![condition])
    };
    values.iter().map(rule).collect()
}

/// One rule with all values: it fits when the argument is none of them.
fn none_of(argument: u8, values: &[i32]) -> Result<SeccompRule, BackendError> {
    let other = |value: &i32| {
        let value = u64::from(value.cast_unsigned());
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)
    };
    SeccompRule::new(values.iter().map(other).collect::<Result<_, _>>()?)
}

/// Calls that are said not to exist, so that programs take another:
/// - `clone3`, whose flags are in memory where no filter sees them; `clone` is checked,
/// - the x32 calls of x86-64, whose numbers are their own and named by no rule above.
fn prelude() -> Vec<sock_filter> {
    const LOAD_NUMBER: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const X32: u32 = 0x4000_0000;
    // The same number on every architecture.
    const CLONE3: u32 = 435;
    let no_such_call = sock_filter {
        code: RETURN,
        jt: 0,
        jf: 0,
        k: libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs(),
    };
    let mut program = vec![
        sock_filter { code: LOAD_NUMBER, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JUMP_IF_EQUAL, jt: 0, jf: 1, k: CLONE3 },
        no_such_call.clone(),
    ];
    if cfg!(target_arch = "x86_64") {
        program.push(sock_filter { code: JUMP_IF_AT_LEAST, jt: 0, jf: 1, k: X32 });
        program.push(no_such_call);
    }
    program
}

fn bytes(instruction: sock_filter) -> [u8; 8] {
    let [c0, c1] = instruction.code.to_ne_bytes();
    let [k0, k1, k2, k3] = instruction.k.to_ne_bytes();
    [c0, c1, instruction.jt, instruction.jf, k0, k1, k2, k3]
}
