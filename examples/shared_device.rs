//! Runs an exported network on a device and a buffer that the application has; no pixel and no logit goes through the
//! host. `cargo run --release --example shared_device -- FOLDER IMAGE`

use netadapt::gpu::{Buf, Gpu};
use netadapt::model::{Model, Network};
use std::path::Path;

/// The application's own shader: the nearest texel of the frame's centred square, normalised, into (S, S, 4) f32.
const PREPROCESS: &str = "
    @group(0) @binding(0) var frame: texture_2d<f32>;
    @group(0) @binding(1) var<storage, read_write> pixels: array<vec4f>;
    override SIZE: u32; override GREY: bool;
    override R: f32; override G: f32; override B: f32; override DR: f32; override DG: f32; override DB: f32;

    @compute @workgroup_size(8, 8)
    fn main(@builtin(global_invocation_id) at: vec3u) {
        if any(at.xy >= vec2u(SIZE)) { return; }
        let all = textureDimensions(frame);
        let side = min(all.x, all.y);
        let texel = (all - side) / 2 + (at.xy * 2 + 1) * side / (2 * SIZE);
        let colour = textureLoad(frame, texel, 0).rgb;
        let normalised = (select(colour, vec3f(dot(colour, vec3f(0.299, 0.587, 0.114))), GREY) - vec3f(R, G, B))
            / vec3f(DR, DG, DB);
        pixels[at.y * SIZE + at.x] = vec4f(select(normalised, vec3f(normalised.x, 0, 0), GREY), 0);
    }";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, image] = arguments.as_slice() else { return Err("give an exported folder and an image".into()) };

    // What the application has: a device, and a frame on it.
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let instance = wgpu::Instance::new(descriptor);
    let adapter = pollster::block_on(instance.request_adapter(&Default::default()))?;
    let limits = wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&limits))?;
    let frame = frame(&device, &queue, &image::open(image)?.to_rgba8());
    let network = Network::open(Path::new(folder))?;
    let classes = network.architecture.classes.clone();
    let pixels = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("pixels"),
        size: u64::from(network.architecture.size).pow(2) * 16,
        usage: wgpu::BufferUsages::STORAGE,
        mapped_at_creation: false,
    });
    preprocess(&device, &queue, &frame, &pixels, &network);

    // The network on it.
    let gpu = Gpu::from_device(device, queue);
    let model = Model::on_buffer(&gpu, network, Buf::from_raw(pixels, "pixels"))?;
    model.submit();
    let logits = model.output(); // `logits.binding()` is for the application's next shader.

    let logits: Vec<f32> = gpu.read(logits)?;
    let best = (0..classes.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
    println!("{}", best.map_or("a network without classes", |class| &classes[class]));
    Ok(())
}

/// A texture with these pixels, as a camera or a renderer leaves one.
fn frame(device: &wgpu::Device, queue: &wgpu::Queue, image: &image::RgbaImage) -> wgpu::TextureView {
    let (width, height) = image.dimensions();
    let size = wgpu::Extent3d { width, height, depth_or_array_layers: 1 };
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: Some("frame"),
        size,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    });
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4 * width), rows_per_image: None };
    queue.write_texture(texture.as_image_copy(), image, layout, size);
    texture.create_view(&Default::default())
}

/// Submits the application's shader.
fn preprocess(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    frame: &wgpu::TextureView,
    pixels: &wgpu::Buffer,
    network: &Network,
) {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("preprocess"),
        source: wgpu::ShaderSource::Wgsl(PREPROCESS.into()),
    });
    let architecture = &network.architecture;
    let [mean, std] = [architecture.normalisation.mean, architecture.normalisation.std];
    let numbers = ["R", "G", "B", "DR", "DG", "DB"].into_iter().zip(mean.into_iter().chain(std).map(f64::from));
    let constants: Vec<(&str, f64)> = numbers
        .chain([("SIZE", f64::from(architecture.size)), ("GREY", f64::from(architecture.channels == 1))])
        .collect();
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("preprocess"),
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions { constants: &constants, ..Default::default() },
        cache: None,
    });
    let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("preprocess"),
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[
            wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::TextureView(frame) },
            wgpu::BindGroupEntry { binding: 1, resource: pixels.as_entire_binding() },
        ],
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    let mut pass = encoder.begin_compute_pass(&Default::default());
    pass.set_pipeline(&pipeline);
    pass.set_bind_group(0, &bindings, &[]);
    pass.dispatch_workgroups(architecture.size.div_ceil(8), architecture.size.div_ceil(8), 1);
    drop(pass);
    queue.submit([encoder.finish()]);
}
