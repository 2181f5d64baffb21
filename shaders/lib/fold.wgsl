// Workgroups in a row, where there may be more than one dimension holds: further ones lie in the second.

// Workgroups of one dimension at most.
const FOLD: u32 = 65535u;

fn folded(group: vec3u) -> u32 {
    return group.x + group.y * FOLD;
}
