// `GET /projects` as a careful Node developer would write it: the same token, the same two statements, the same
// headers, log line and JSON as the Python function. Built for speed where that is good practice: the queries are
// compiled once, the pool has one connection for the one request a sandbox serves, ETags and `X-Powered-By` are off.
import { and, desc, eq, gt, isNull, lt, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import express from "express";
import { decodeProtectedHeader, errors as joseErrors, importJWK, jwtVerify } from "jose";
import pg from "pg";
import serverless from "serverless-http";
import { z } from "zod";

import { projectMembers, projects, roles, sessions, signingKeys, userRoles, users } from "./schema.js";

const LAST = "ffffffff-ffff-ffff-ffff-ffffffffffff";
const ALL = ["*", "projects:read_all"];

const db = drizzle(new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 1, idleTimeoutMillis: 0 }));
const given = sql.placeholder;

// A name would make it a prepared statement of the server, which pins a connection of RDS Proxy to one client;
// the Python function does without for the same reason. BENCH_PREPARED=1 tries it.
const named = (name) => (process.env.BENCH_PREPARED ? name : "");

const permission = db
  .select({ name: sql`unnest(${roles.permissions})`.as("name") })
  .from(userRoles)
  .innerJoin(roles, eq(roles.id, userRoles.roleId))
  .where(eq(userRoles.userId, users.id));

const findCaller = db
  .select({
    userId: users.id,
    sessionId: sessions.id,
    email: users.email,
    emailVerified: sql`${users.emailVerifiedAt} IS NOT NULL`,
    permissions: sql`ARRAY(SELECT DISTINCT name FROM (${permission}) AS p)`,
  })
  .from(sessions)
  .innerJoin(users, eq(users.id, sessions.userId))
  .where(
    and(
      eq(sessions.id, given("sessionId")),
      eq(users.id, given("userId")),
      isNull(sessions.revokedAt),
      gt(sessions.expiresAt, sql`now()`),
      eq(users.status, "active"),
    ),
  )
  .prepare(named("find_caller"));

const rfc3339 = (column) =>
  sql`to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`.as(column.name);

const columns = {
  id: projects.id,
  title: projects.title,
  description: projects.description,
  owner_id: projects.ownerId,
  status: projects.status,
  product_type: projects.productType,
  settings: projects.settings,
  archived_at: rfc3339(projects.archivedAt),
  created_at: rfc3339(projects.createdAt),
  updated_at: rfc3339(projects.updatedAt),
  version: projects.version,
};

const filters = [
  lt(projects.id, given("before")),
  sql`(${given("status")}::text IS NULL AND ${projects.archivedAt} IS NULL OR ${projects.status} = ${given("status")})`,
  sql`(${given("owner")}::uuid IS NULL OR ${projects.ownerId} = ${given("owner")})`,
  sql`(${given("product_type")}::text IS NULL OR ${projects.productType} = ${given("product_type")})`,
  sql`(${given("q")}::text IS NULL OR projects.search @@ websearch_to_tsquery('simple', ${given("q")}))`,
];

const page = (query, name) => query.orderBy(desc(projects.id)).limit(given("rows")).prepare(named(name));

const listShared = page(
  db
    .select(columns)
    .from(projectMembers)
    .innerJoin(projects, eq(projects.id, projectMembers.projectId))
    .where(and(eq(projectMembers.userId, given("caller")), ...filters)),
  "list_shared",
);
const listEvery = page(db.select(columns).from(projects).where(and(...filters)), "list_every");

const Query = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(50),
  cursor: z.string().max(200).optional(),
  status: z.enum(["draft", "active", "completed", "archived"]).nullable().default(null),
  owner: z.uuid().nullable().default(null),
  product_type: z.enum(["physical_product", "software", "service"]).nullable().default(null),
  q: z.string().trim().min(1).max(200).nullable().default(null),
});

class Problem extends Error {
  constructor(status, detail, headers = {}) {
    super(detail);
    Object.assign(this, { status, headers });
  }
}

const unauthorized = (detail) => new Problem(401, detail, { "www-authenticate": 'Bearer realm="quintet"' });

const keys = new Map();

async function publicKey(kid) {
  if (!keys.has(kid)) {
    for (const row of await db.select().from(signingKeys)) keys.set(row.kid, await importJWK(row.jwk, "Ed25519"));
  }
  return keys.get(kid);
}

const CLAIMS = {
  algorithms: ["Ed25519"],
  typ: "at+jwt",
  issuer: "quintet",
  audience: "quintet-api",
  requiredClaims: ["exp", "sub", "sid"],
  clockTolerance: 5,
};

async function authenticate(request, _response, next) {
  const [scheme, token] = (request.get("authorization") ?? "").split(" ");
  if (scheme.toLowerCase() !== "bearer" || !token) throw unauthorized("Send the access token as a Bearer token.");
  const key = await publicKey(decodeProtectedHeader(token).kid);
  if (!key) throw unauthorized("The access token is not valid.");
  const { payload } = await jwtVerify(token, key, CLAIMS);
  const [caller] = await findCaller.execute({ sessionId: payload.sid, userId: payload.sub });
  if (!caller) throw unauthorized("The session has ended. Sign in again.");
  request.caller = caller;
  next();
}

const encodeCursor = (id) => Buffer.from(id.replaceAll("-", ""), "hex").toString("base64url");

function decodeCursor(cursor) {
  const hex = Buffer.from(cursor, "base64url").toString("hex");
  if (hex.length !== 32) throw new Problem(400, "Send a next_cursor of an earlier answer, as it was.");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

async function listProjects(request, response) {
  const { limit, cursor, ...filter } = Query.parse(request.query);
  const { userId, permissions } = request.caller;
  const list = permissions.some((name) => ALL.includes(name)) ? listEvery : listShared;
  const before = cursor ? decodeCursor(cursor) : LAST;
  const found = await list.execute({ ...filter, before, caller: userId, rows: limit + 1 });
  const items = found.slice(0, limit);
  response.json({ items, next_cursor: found.length > limit ? encodeCursor(items.at(-1).id) : null });
}

const HEADERS = {
  "strict-transport-security": "max-age=63072000; includeSubDomains",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
};

function envelope(request, response, next) {
  const started = performance.now();
  response.set(HEADERS).set("x-request-id", request.requestId);
  response.once("finish", () => {
    const { method, originalUrl, requestId } = request;
    const ms = Math.round((performance.now() - started) * 10) / 10;
    const path = originalUrl.split("?", 1)[0];
    const timestamp = new Date().toISOString();
    const line = { level: "INFO", message: "request", timestamp, method, path, status: response.statusCode, ms };
    process.stdout.write(JSON.stringify({ ...line, request_id: requestId }) + "\n");
  });
  next();
}

// Four parameters are how Express knows a handler of errors.
function onError(error, request, response, _next) {
  const invalid = error instanceof z.ZodError;
  const problem = error instanceof joseErrors.JOSEError ? unauthorized("The access token is not valid.") : error;
  const status = invalid ? 400 : (problem.status ?? 500);
  const detail = invalid ? "The input is not valid." : status === 500 ? "Something went wrong." : problem.message;
  response.status(status).set(problem.headers ?? {}).type("application/problem+json");
  response.json({ type: "about:blank", status, detail, instance: request.requestId });
}

const router = express.Router();
router.get("/projects", authenticate, listProjects);

const app = express();
app.disable("x-powered-by");
app.disable("etag");
app.use(envelope);
app.use(["/api/v1", "/api", "/"], router);
app.use(onError);

export const handler = serverless(app, {
  request(request, event) {
    request.requestId = event.requestContext.requestId;
  },
});
