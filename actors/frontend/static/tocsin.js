// The live page. Log text is hostile: it only ever becomes textContent.
const ROWS = 200;
const ALERTS = 50;
const FIRST_DELAY_MS = 250;
const LAST_DELAY_MS = 8000;
const SILENCE_MS = 5000; // the daemon beats every second

const byId = (id) => document.getElementById(id);
const seen = new Set();
let pending = [];
let paused = false;
let words = [];
let delay = FIRST_DELAY_MS;
let lastMessage = 0;

function element(name, text, className) {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function severityName(number) {
  return number >= 21 ? 'fatal' : number >= 17 ? 'error' : number >= 13 ? 'warning' : number >= 9 ? 'info' : 'debug';
}

function remember(id) {
  if (seen.has(id)) return false;
  seen.add(id);
  if (seen.size > 5000) seen.delete(seen.values().next().value);
  return true;
}

function attackChip(attack) {
  const chip = element('span', [attack.technique, attack.tactic.replaceAll('-', ' ')].filter(Boolean).join(' '), 'attack');
  chip.title = 'MITRE ATT&CK';
  return chip;
}

function eventRow(event) {
  const row = document.createElement('tr');
  const severity = severityName(event.severity);
  row.className = event.anomaly_score > event.anomaly_threshold ? 'anomalous' : '';
  row.append(element('td', event.event_ts.slice(11, 23)), element('td', event.source), element('td', severity, severity));
  const message = element('td', event.message, 'message');
  for (const entity of event.entities) message.append(' ', element('span', `${entity.type} ${entity.value}`, 'entity'));
  if (event.attack) message.append(' ', attackChip(event.attack));
  row.append(message, element('td', event.anomaly_score.toFixed(2), 'score'));
  row.title = `${event.event_ts}  ${event.template_id}  threshold ${event.anomaly_threshold.toFixed(2)}`;
  return row;
}

function alertItem(alert) {
  const item = document.createElement('li');
  item.className = alert.severity;
  item.append(element('strong', alert.severity), ' ', element('span', alert.title), ' ');
  for (const entity of alert.entities) item.append(element('span', `${entity.type} ${entity.value}`, 'entity'), ' ');
  if (alert.attack) item.append(attackChip(alert.attack), ' ');
  item.append(element('time', alert.ts.replace('T', ' ')));
  item.title = `${alert.rule_kind} ${alert.rule_id}`;
  return item;
}

function matches(event) {
  if (words.length === 0) return true;
  const text = [event.message, event.source, ...event.entities.map((entity) => entity.value)].join(' ').toLowerCase();
  return words.every((word) => text.includes(word));
}

function showStatus(status) {
  byId('eps').textContent = status.throughput_eps.toLocaleString();
  byId('queue').textContent = `${status.queue_depth} of ${status.queue_max}`;
  const items = [...Object.entries(status.receivers), ...Object.entries(status.detectors)];
  byId('subsystems').replaceChildren(...items.map(([name, state]) => {
    const item = element('li', name, state);
    item.title = state;
    return item;
  }));
}

// Frames may come by the thousand: at most one change of the page each animation frame, at most ROWS rows.
function draw() {
  if (pending.length > 0 && !paused) {
    const rows = pending.splice(0).filter(matches).slice(-ROWS).map(eventRow).reverse();
    const body = byId('events');
    body.prepend(...rows);
    while (body.rows.length > ROWS) body.deleteRow(-1);
    byId('no-events').hidden = body.rows.length > 0;
  }
  requestAnimationFrame(draw);
}

function takeEvent(event) {
  if (!remember(event.id)) return;
  pending.push(event);
  if (pending.length > 5 * ROWS) pending = pending.slice(-ROWS);
}

function takeAlert(alert) {
  if (!remember(alert.id)) return;
  const list = byId('alerts');
  list.prepend(alertItem(alert));
  while (list.children.length > ALERTS) list.lastChild.remove();
  byId('no-alerts').hidden = true;
}

async function backfill(name, take) {
  const answer = await fetch(`/api/v1/${name}?order=desc&limit=50`);
  if (answer.ok) (await answer.json())[name].reverse().forEach(take);
}

function connect() {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  const socket = new WebSocket(`${scheme}://${location.host}/api/v1/ws`);
  const watchdog = setInterval(() => {
    if (Date.now() - lastMessage > SILENCE_MS) {
      byId('banner').hidden = false;
      if (Date.now() - lastMessage > 3 * SILENCE_MS) socket.close();
    }
  }, 1000);
  lastMessage = Date.now();
  socket.onopen = () => Promise.all([backfill('events', takeEvent), backfill('alerts', takeAlert)]).catch(() => {});
  socket.onmessage = (frame) => {
    lastMessage = Date.now();
    delay = FIRST_DELAY_MS;
    byId('banner').hidden = true;
    const message = JSON.parse(frame.data);
    if (message.type === 'event') takeEvent(message.event);
    else if (message.type === 'alert') takeAlert(message.alert);
    else if (message.type === 'status') showStatus(message);
  };
  socket.onclose = () => {
    clearInterval(watchdog);
    byId('banner').hidden = false;
    setTimeout(connect, delay);
    delay = Math.min(2 * delay, LAST_DELAY_MS);
  };
}

byId('filter').addEventListener('input', (change) => {
  words = change.target.value.toLowerCase().split(/\s+/).filter(Boolean);
});
byId('pause').addEventListener('click', (click) => {
  paused = !paused;
  click.target.setAttribute('aria-pressed', String(paused));
  click.target.textContent = paused ? 'Resume' : 'Pause';
});
connect();
requestAnimationFrame(draw);
