"use strict";
(() => {
  const COLOURS = [[142, 184, 242], [247, 161, 135], [148, 212, 153], [250, 207, 117], [196, 166, 235], [120, 209, 209], [245, 171, 204], [212, 194, 166]];
  const TURN = 0.008;
  const STEPS_A_SECOND = 6;
  const $ = (id) => document.getElementById(id);
  const canvas = $("canvas");
  const view = { yaw: 0, pitch: 0, away: 0, x: 0, y: 0 };
  const state = { frame: 0, playing: false };
  let people = [], meshes = [], cameras = [], gl, programs, shared, centre, size, camera, floor, names = [];

  // column-major 4 x 4 matrices, as WebGL takes them
  const multiply = (a, b) => {
    const out = new Float32Array(16);
    for (let c = 0; c < 4; c++) for (let r = 0; r < 4; r++)
      for (let k = 0; k < 4; k++) out[4 * c + r] += a[4 * k + r] * b[4 * c + k];
    return out;
  };
  const moved = (x, y, z) => new Float32Array([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, x, y, z, 1]);
  const turnedX = (a) => { const c = Math.cos(a), s = Math.sin(a); return new Float32Array([1, 0, 0, 0, 0, c, s, 0, 0, -s, c, 0, 0, 0, 0, 1]); };
  const turnedY = (a) => { const c = Math.cos(a), s = Math.sin(a); return new Float32Array([c, 0, -s, 0, 0, 1, 0, 0, s, 0, c, 0, 0, 0, 0, 1]); };

  const times3 = (m, p) => [0, 1, 2].map((r) => m[r][0] * p[0] + m[r][1] * p[1] + m[r][2] * p[2]);
  const turnedBy = (m) => new Float32Array([m[0][0], m[1][0], m[2][0], 0, m[0][1], m[1][1], m[2][1], 0, m[0][2], m[1][2], m[2][2], 0, 0, 0, 0, 1]);

  async function unpacked(text) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).arrayBuffer();
  }

  function program(vertex, fragment) {
    const made = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, `#version 300 es\nprecision highp float;\n${source}`);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(made, shader);
    }
    gl.bindAttribLocation(made, 0, "position");
    gl.bindAttribLocation(made, 1, "other");
    gl.linkProgram(made);
    if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made));
    return { made, at: (name) => gl.getUniformLocation(made, name) };
  }

  function buffer(values, target = gl.ARRAY_BUFFER, use = gl.STATIC_DRAW) {
    const made = gl.createBuffer();
    gl.bindBuffer(target, made);
    gl.bufferData(target, values, use);
    return made;
  }

  function attribute(place, made, size) {
    gl.bindBuffer(gl.ARRAY_BUFFER, made);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, size, gl.FLOAT, false, 0, 0);
  }

  async function load() {
    gl = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
    if (!gl) throw new Error("this browser shows no 3D pictures (WebGL 2)");
    programs = {
      body: program(
        "in vec3 position, other; uniform mat4 see, place; out vec3 normal, at;" +
        "void main() { vec4 eye = place * vec4(position, 1.); at = eye.xyz; normal = mat3(place) * other; gl_Position = see * eye; }",
        "in vec3 normal, at; uniform vec3 colour; out vec4 ink;" +
        "void main() { vec3 n = normalize(normal); float front = max(dot(n, -normalize(at)), 0.), sky = .5 - .5 * n.y;" +
        "ink = vec4(colour * (.3 + .5 * front + .25 * sky) + .06 * pow(front, 24.), 1.); }"),
      flat: program(
        "in vec3 position; uniform mat4 see, place; uniform float size; void main() { gl_Position = see * place * vec4(position, 1.); gl_PointSize = size; }",
        "uniform vec4 colour; uniform bool round; out vec4 ink;" +
        "void main() { if (round && length(gl_PointCoord - .5) > .5) discard; ink = colour; }"),
      photo: program(
        "in vec3 position, other; uniform mat4 see, place; out vec2 at; void main() { at = other.xy; gl_Position = see * place * vec4(position, 1.); }",
        "in vec2 at; uniform sampler2D picture; out vec4 ink; void main() { ink = texture(picture, at); }"),
    };
    shared = { picture: gl.createTexture(), line: gl.createBuffer(), sheet: gl.createBuffer(), sheetAt: buffer(new Float32Array([0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 1, 0])) };
    meshes = await Promise.all(SCENE.meshes.map(async (told) => {
      const faces = new Uint32Array(await unpacked(told.faces));
      return { ...told, faces, elements: buffer(faces, gl.ELEMENT_ARRAY_BUFFER) };
    }));
    people = await Promise.all(SCENE.people.map(loadPerson));
    place();
    $("photo").checked = cameras.some((one) => one.pictures.length);
    await showPicture(first());
  }

  async function loadPerson(told, number) {
    const steps = new Uint16Array(await unpacked(told.vertices));
    const each = steps.length / told.seen.length;
    for (let i = each; i < steps.length; i++) steps[i] += steps[i - each];
    const joints = new Float32Array(await unpacked(told.joints));
    const person = {
      ...told, steps, each, joints, shown: true, drawn: -1, mesh: meshes[told.mesh], joined: joints.length / told.seen.length,
      colour: told.colour || COLOURS[number % COLOURS.length].map((value) => value / 255),
      position: new Float32Array(each), normal: new Float32Array(each),
    };
    person.buffers = [buffer(person.position, gl.ARRAY_BUFFER, gl.DYNAMIC_DRAW), buffer(person.normal, gl.ARRAY_BUFFER, gl.DYNAMIC_DRAW)];
    return person;
  }

  // where everybody is, and a camera if the result has none
  function place() {
    const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
    for (const person of people) {
      if (!person.seen.some(Boolean)) continue;
      for (let i = 0; i < 3; i++) {
        low[i] = Math.min(low[i], person.low[i]);
        high[i] = Math.max(high[i], person.low[i] + 65535 * person.scale[i]);
      }
    }
    centre = low.map((value, i) => (value + high[i]) / 2);
    size = Math.hypot(...high.map((value, i) => value - low[i]));
    floor = high[1];
    const made = { name: "", made: true, focal: [1.4, 1.4], centre: [0.5, 0.5], size: [1, 1], rotation: [[1, 0, 0], [0, 1, 0], [0, 0, 1]], translation: [-centre[0], -centre[1], 1.5 * Math.max(size, 0.5) - centre[2]], pictures: [] };
    cameras = SCENE.cameras.length ? SCENE.cameras : [made];
    for (const one of cameras) {
      one.distance = times3(one.rotation, centre)[2] + one.translation[2];
      one.behind = Math.max(one.distance, 0) + size / 2;
    }
    camera = cameras[0];
    const unit = 10 ** Math.round(Math.log10(Math.max(size, 1e-3) / 2)), middle = centre.map((value) => unit * Math.round(value / unit)), grid = [];
    for (let i = -6; i <= 6; i++) {
      const step = i * unit, end = 6 * unit;
      grid.push(middle[0] + step, floor, middle[2] - end, middle[0] + step, floor, middle[2] + end);
      grid.push(middle[0] - end, floor, middle[2] + step, middle[0] + end, floor, middle[2] + step);
    }
    shared.grid = buffer(new Float32Array(grid));
    shared.gridCount = grid.length / 3;
  }

  // what a camera sees `away` metres before it, corner by corner, in the scene
  function corners(one, away) {
    const [w, h] = one.size, back = one.rotation[0].map((_, i) => one.rotation.map((row) => row[i]));
    return [[0, 0], [w, 0], [w, h], [0, h]].map(([u, v]) => {
      const at = [(u - one.centre[0]) / one.focal[0] * away, (v - one.centre[1]) / one.focal[1] * away, away];
      return times3(back, at.map((value, i) => value - one.translation[i]));
    });
  }

  // decoded when it is asked for: a clip has many
  async function showPicture(frame) {
    const url = camera.pictures[Math.min(frame, camera.pictures.length - 1)];
    if (!url || shared.url === url) return;
    shared.url = url;
    const picture = new Image();
    picture.src = url;
    await picture.decode();
    if (shared.url !== url) return;
    gl.bindTexture(gl.TEXTURE_2D, shared.picture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, gl.RGB, gl.UNSIGNED_BYTE, picture);
    gl.generateMipmap(gl.TEXTURE_2D);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    shared.of = camera;
    document.body.dataset.picture = camera.pictures.indexOf(url);
    draw();
  }

  const frameOf = (person) => Math.min(state.frame, person.seen.length - 1);

  function pose(person) {
    const frame = frameOf(person);
    if (person.drawn === frame) return;
    person.drawn = frame;
    const { position, normal, steps, each, low, scale } = person, begin = frame * each;
    for (let i = 0; i < each; i++) position[i] = low[i % 3] + scale[i % 3] * steps[begin + i];
    normal.fill(0);
    const faces = person.mesh.faces, p = position;
    for (let f = 0; f < faces.length; f += 3) {
      const a = 3 * faces[f], b = 3 * faces[f + 1], c = 3 * faces[f + 2];
      const x1 = p[b] - p[a], y1 = p[b + 1] - p[a + 1], z1 = p[b + 2] - p[a + 2];
      const x2 = p[c] - p[a], y2 = p[c + 1] - p[a + 1], z2 = p[c + 2] - p[a + 2];
      const n = [y1 * z2 - z1 * y2, z1 * x2 - x1 * z2, x1 * y2 - y1 * x2];
      for (const corner of [a, b, c]) for (let i = 0; i < 3; i++) normal[corner + i] += n[i];
    }
    for (const [made, values] of [[person.buffers[0], position], [person.buffers[1], normal]]) {
      gl.bindBuffer(gl.ARRAY_BUFFER, made);
      gl.bufferSubData(gl.ARRAY_BUFFER, 0, values);
    }
  }

  // from the scene to the viewer, who turns about the people: at first where the camera is
  function placing() {
    const there = times3(camera.rotation, centre).map((value, i) => value + camera.translation[i]);
    const turn = multiply(multiply(turnedX(view.pitch), turnedBy(camera.rotation)), turnedY(view.yaw));
    return multiply(multiply(moved(there[0] + view.x, there[1] + view.y, there[2] + view.away), turn), moved(...centre.map((value) => -value)));
  }

  // the camera's picture fitted into the canvas; what is beside it is seen, too
  function seeing() {
    const { focal: [fx, fy], centre: [cx, cy], size: [w, h] } = camera;
    const fit = Math.min(canvas.width / w, canvas.height / h), sx = 2 * fit / canvas.width, sy = 2 * fit / canvas.height;
    const near = 0.01 * Math.max(size, 0.1), far = 100 * Math.max(size, 1);
    return new Float32Array([
      fx * sx, 0, 0, 0,
      0, -fy * sy, 0, 0,
      (cx - w / 2) * sx, -(cy - h / 2) * sy, (far + near) / (far - near), 1,
      0, 0, -2 * far * near / (far - near), 0,
    ]);
  }

  function flat(colour, made, count, kind, size = 1) {
    gl.uniform4fv(programs.flat.at("colour"), colour);
    gl.uniform1f(programs.flat.at("size"), size);
    gl.uniform1i(programs.flat.at("round"), kind === gl.POINTS);
    attribute(0, made, 3);
    gl.drawArrays(kind, 0, count);
  }

  function draw() {
    const dense = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * dense), height = Math.round(canvas.clientHeight * dense);
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const see = seeing(), set = placing();
    gl.viewport(0, 0, width, height);
    gl.clearColor(0.925, 0.933, 0.945, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    const use = (one) => {
      gl.useProgram(one.made);
      gl.uniformMatrix4fv(one.at("see"), false, see);
      gl.uniformMatrix4fv(one.at("place"), false, set);
      gl.disableVertexAttribArray(1);
    };
    const before = $("photo").checked && shared.of === camera;
    if (before) {
      const [a, b, c, d] = corners(camera, camera.behind);
      use(programs.photo);
      gl.bindTexture(gl.TEXTURE_2D, shared.picture);
      gl.bindBuffer(gl.ARRAY_BUFFER, shared.sheet);
      gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([a, b, d, c].flat()), gl.DYNAMIC_DRAW);
      attribute(0, shared.sheet, 3);
      attribute(1, shared.sheetAt, 3);
      gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    }
    use(programs.flat);
    if (!before) flat([0.78, 0.8, 0.83, 1], shared.grid, shared.gridCount, gl.LINES);
    for (const one of cameras) {
      if (one.made || (one === camera && !turned())) continue;
      const far = corners(one, before && one === camera ? one.behind : 0.12 * one.distance), eye = corners(one, 0)[0];
      const lines = new Float32Array(far.flatMap((corner, i) => [...eye, ...corner, ...corner, ...far[(i + 1) % 4]]));
      gl.bindBuffer(gl.ARRAY_BUFFER, shared.line);
      gl.bufferData(gl.ARRAY_BUFFER, lines, gl.DYNAMIC_DRAW);
      flat(one === camera ? [0.08, 0.35, 0.72, 1] : [0.45, 0.5, 0.55, 1], shared.line, 16, gl.LINES);
    }
    const here = people.filter((person) => person.shown && person.seen[frameOf(person)]);
    if ($("bodies").checked) {
      use(programs.body);
      for (const person of here) {
        pose(person);
        gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, person.mesh.elements);
        gl.uniform3fv(programs.body.at("colour"), person.colour);
        attribute(0, person.buffers[0], 3);
        attribute(1, person.buffers[1], 3);
        gl.drawElements(gl.TRIANGLES, person.mesh.faces.length, gl.UNSIGNED_INT, 0);
      }
    }
    if ($("joints").checked) drawJoints(here, use, dense);
    showNames(here, see, set);
  }

  const jointsOf = (person) => person.joints.subarray(person.joined * frameOf(person), person.joined * (frameOf(person) + 1));

  function drawJoints(here, use, dense) {
    use(programs.flat);
    gl.disable(gl.DEPTH_TEST);
    for (const person of here) {
      const joints = jointsOf(person);
      const bones = person.mesh.bones.flat().flatMap((joint) => [...joints.subarray(3 * joint, 3 * joint + 3)]);
      const dark = [...person.colour.map((value) => 0.45 * value), 1];
      for (const [values, kind, size] of [[new Float32Array(bones), gl.LINES, 1], [joints, gl.POINTS, 8 * dense]]) {
        gl.bindBuffer(gl.ARRAY_BUFFER, shared.line);
        gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
        flat(dark, shared.line, values.length / 3, kind, size);
      }
    }
  }

  function showNames(here, see, set) {
    const all = multiply(see, set), wanted = [];
    const name = (text, point) => {
      const at = [0, 1, 3].map((row) => [0, 1, 2].reduce((sum, i) => sum + all[4 * i + row] * point[i], all[12 + row]));
      if (at[2] > 0) wanted.push([text, 50 * (1 + at[0] / at[2]), 50 * (1 - at[1] / at[2])]);
    };
    for (const person of $("labels").checked ? here : []) {
      const joints = jointsOf(person);
      person.mesh.jointNames.forEach((text, joint) => name(text, joints.subarray(3 * joint, 3 * joint + 3)));
    }
    if (cameras.length > 1) for (const one of cameras) if (one !== camera || turned()) name(one.name, corners(one, 0)[0]);
    while (names.length < wanted.length) names.push($("names").appendChild(document.createElement("span")));
    names.forEach((label, i) => {
      label.hidden = i >= wanted.length;
      if (label.hidden) return;
      label.textContent = wanted[i][0];
      label.style.left = `${wanted[i][1]}%`;
      label.style.top = `${wanted[i][2]}%`;
    });
  }

  const last = () => Math.max(...people.map((person) => person.seen.length)) - 1;
  const first = () => (SCENE.times.length ? 0 : last());
  const turned = () => view.yaw || view.pitch || view.away || view.x || view.y;

  function show(frame) {
    state.frame = Math.max(0, Math.min(last(), frame));
    $("frame").value = state.frame;
    $("where").value = SCENE.times.length ? clipText() : photoText();
    document.body.dataset.frame = state.frame;
    draw();
    showPicture(state.frame);
  }

  const clipText = () => `frame ${state.frame + 1} of ${last() + 1}, ${SCENE.times[state.frame].toFixed(2)} s`;

  function photoText() {
    const errors = people.filter((person) => person.shown).map((person) => `${person.errors[frameOf(person)].toFixed(1)} px`);
    const what = state.frame === 0 ? "the network's answer" : `iteration ${state.frame} of ${last()}`;
    return `${what}: ${errors.join(", ")}`;
  }

  function through(number) {
    camera = cameras[number % cameras.length];
    $("camera").value = number % cameras.length;
    look(0, 0);
    showPicture(state.frame);
  }

  function look(yaw, pitch) {
    Object.assign(view, { yaw, pitch, away: 0, x: 0, y: 0 });
    draw();
  }

  function play(on) {
    state.playing = on;
    $("play").textContent = on ? "Pause" : "Play";
    if (!on) return;
    if (state.frame === last()) show(0);
    const times = SCENE.times.length ? SCENE.times : Array.from({ length: last() + 1 }, (_, i) => i / STEPS_A_SECOND);
    const began = performance.now() / 1000 - times[state.frame];
    const tick = () => {
      if (!state.playing) return;
      const now = performance.now() / 1000 - began;
      let frame = state.frame;
      while (frame < last() && times[frame + 1] <= now) frame++;
      if (frame !== state.frame) show(frame);
      if (frame === last()) play(false);
      else requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  function listen() {
    const stopAt = (frame) => { play(false); show(frame); };
    $("frame").oninput = () => stopAt(Number($("frame").value));
    $("play").onclick = () => play(!state.playing);
    $("before").onclick = () => stopAt(0);
    $("after").onclick = () => stopAt(last());
    $("home").onclick = () => look(0, 0);
    $("side").onclick = () => look(-Math.PI / 2, 0);
    $("camera").onchange = () => through(Number($("camera").value));
    for (const id of ["bodies", "photo", "joints", "labels"]) $(id).onchange = draw;
    const keys = {
      " ": () => $("play").click(), b: () => $("before").click(), a: () => $("after").click(), 0: () => $("home").click(), s: () => $("side").click(), c: () => through(cameras.indexOf(camera) + 1),
      ArrowLeft: () => stopAt(state.frame - 1), ArrowRight: () => stopAt(state.frame + 1),
    };
    document.onkeydown = (event) => {
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("button, input, select")) return;
      event.preventDefault();
      keys[event.key]();
    };
    canvas.onpointerdown = (event) => canvas.setPointerCapture(event.pointerId);
    canvas.onpointermove = (event) => {
      if (!event.buttons) return;
      if (event.buttons > 1 || event.shiftKey) {
        const metre = (camera.distance + view.away) / camera.focal[0] * Math.max(camera.size[0] / canvas.clientWidth, camera.size[1] / canvas.clientHeight);
        view.x += event.movementX * metre;
        view.y += event.movementY * metre;
      } else {
        view.yaw -= event.movementX * TURN;
        view.pitch = Math.max(-1.5, Math.min(1.5, view.pitch + event.movementY * TURN));
      }
      draw();
    };
    canvas.oncontextmenu = (event) => event.preventDefault();
    canvas.ondblclick = () => look(0, 0);
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      view.away = (camera.distance + view.away) * Math.exp(0.001 * event.deltaY) - camera.distance;
      draw();
    }, { passive: false });
    new ResizeObserver(draw).observe(canvas);
  }

  function describe() {
    document.title = SCENE.title;
    $("title").textContent = SCENE.title;
    $("frame").max = last();
    $("time").hidden = !last();
    for (const id of ["before", "after"]) $(id).hidden = SCENE.times.length || !last();
    $("photo").parentElement.hidden = !$("photo").checked;
    $("joints").parentElement.hidden = $("labels").parentElement.hidden = !meshes.some((mesh) => mesh.jointNames.length);
    $("home").textContent = cameras[0].made ? "From the front" : "As in the picture";
    $("camera").hidden = cameras.length < 2;
    cameras.forEach((one, number) => $("camera").add(new Option(`through ${one.name}`, number)));
    for (const person of people) {
      const label = document.createElement("label"), box = document.createElement("input"), mark = document.createElement("i"), status = document.createElement("small");
      box.type = "checkbox";
      box.checked = true;
      box.onchange = () => { person.shown = box.checked; show(state.frame); };
      mark.style.background = `rgb(${person.colour.map((value) => 255 * value)})`;
      status.textContent = person.status;
      label.append(box, mark, ` ${person.name} `, status);
      $("people").append(label);
    }
  }

  load().then(() => {
    describe();
    listen();
    show(first());
    document.body.dataset.ready = "yes";
  }).catch((error) => {
    $("problem").textContent = error.message;
    $("problem").hidden = false;
    throw error;
  });
})();
