// Softmax, cross-entropy with two labels, label smoothing and a teacher, and its gradient, averaged over the batch:
//
//   known_k = (1 - share) [k = label] + share [k = other]
//   target_k = (1 - taught) ((1 - smoothing) known_k + smoothing / K) + taught softmax(teacher[n])_k
//   loss[n] = -sum over k of target_k log softmax(logits[n])_k,   dlogits = (softmax - target) / N
//
// logits, teacher and dlogits (N, K), targets (N), result (N, 2): loss, and 1 where the largest logit is that of the
// label with the larger share. One invocation owns one image. The padding channels of dlogits are zero.

override LANES: u32 = 8u;

struct Params {
    images: u32,
    classes: u32,
    smoothing: f32,
    taught: f32,
}

struct Target {
    label: u32,
    other: u32,
    share: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<vec4f>;
@group(0) @binding(2) var<storage, read> targets: array<Target>;
@group(0) @binding(3) var<storage, read_write> dlogits: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> result: array<vec2f>;
// Not read where nothing is taught.
@group(0) @binding(5) var<storage, read> teacher: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
    let image = group.x * LANES + lane.x;
    if image >= params.images {
        return;
    }
    let stride = quads(params.classes);
    let goal = targets[image];
    var largest = logits[image * stride].x;
    var best = 0u;
    for (var k = 1u; k < params.classes; k++) {
        let value = logits[image * stride + k / 4u][k % 4u];
        if value > largest {
            largest = value;
            best = k;
        }
    }
    var total = 0.0;
    var sum = 0.0;
    for (var k = 0u; k < params.classes; k++) {
        let value = logits[image * stride + k / 4u][k % 4u] - largest;
        total += exp(value);
        sum += value;
    }
    let log_total = log(total);
    let mine = logits[image * stride + goal.label / 4u][goal.label % 4u] - largest;
    let others = logits[image * stride + goal.other / 4u][goal.other % 4u] - largest;
    let even = (1.0 - params.taught) * params.smoothing / f32(params.classes);
    let sure = (1.0 - params.taught) * (1.0 - params.smoothing);
    var loss = log_total - sure * mix(mine, others, goal.share) - even * sum;

    var teachers_largest = 0.0;
    var teachers_total = 1.0;
    if params.taught > 0.0 {
        teachers_largest = teacher[image * stride].x;
        for (var k = 1u; k < params.classes; k++) {
            teachers_largest = max(teachers_largest, teacher[image * stride + k / 4u][k % 4u]);
        }
        var weighted = 0.0;
        teachers_total = 0.0;
        for (var k = 0u; k < params.classes; k++) {
            let weight = exp(teacher[image * stride + k / 4u][k % 4u] - teachers_largest);
            teachers_total += weight;
            weighted += weight * (logits[image * stride + k / 4u][k % 4u] - largest);
        }
        loss -= params.taught * weighted / teachers_total;
    }
    result[image] = vec2f(loss, select(0.0, 1.0, best == select(goal.label, goal.other, goal.share > 0.5)));

    for (var quad = 0u; quad < stride; quad++) {
        let channel = vec4u(quad * 4u) + vec4u(0u, 1u, 2u, 3u);
        let softmax = exp(logits[image * stride + quad] - largest - log_total);
        var aim = select(vec4f(0.0), vec4f(sure * (1.0 - goal.share)), channel == vec4u(goal.label)) + even;
        aim += select(vec4f(0.0), vec4f(sure * goal.share), channel == vec4u(goal.other));
        if params.taught > 0.0 {
            aim += params.taught / teachers_total * exp(teacher[image * stride + quad] - teachers_largest);
        }
        let d = (softmax - aim) / f32(params.images);
        dlogits[image * stride + quad] = keep(d, quad, params.classes);
    }
}
