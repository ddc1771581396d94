// `GET /projects` as a careful Node developer would write it: the same token, the same two reads, the same headers,
// log line and JSON as the Python function, with queries as Drizzle's documentation shows them. The pool has one
// connection, for the one request a sandbox serves; what costs Express time for nothing (ETags) is off. Named prepared
// statements are not used, here as there: one would pin a connection of RDS Proxy to one client.
import { and, desc, eq, gt, isNull, lt, ne, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import express from "express";
import { decodeProtectedHeader, errors as joseErrors, importJWK, jwtVerify } from "jose";
import pg from "pg";
import serverless from "serverless-http";
import { z } from "zod";

import { projectMembers, projects, roles, sessions, signingKeys, userRoles, users } from "./schema.js";

const ALL = ["*", "projects:read_all"];

const db = drizzle(new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 1, idleTimeoutMillis: 0 }));

async function findCaller(sessionId, userId) {
  const permission = db
    .select({ name: sql`unnest(${roles.permissions})`.as("name") })
    .from(userRoles)
    .innerJoin(roles, eq(roles.id, userRoles.roleId))
    .where(eq(userRoles.userId, users.id));
  const [caller] = await db
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
        eq(sessions.id, sessionId),
        eq(users.id, userId),
        isNull(sessions.revokedAt),
        gt(sessions.expiresAt, sql`now()`),
        eq(users.status, "active"),
      ),
    );
  return caller;
}

const columns = {
  id: projects.id,
  title: projects.title,
  description: projects.description,
  owner_id: projects.ownerId,
  status: projects.status,
  product_type: projects.productType,
  settings: projects.settings,
  archived_at: projects.archivedAt,
  created_at: projects.createdAt,
  updated_at: projects.updatedAt,
  version: projects.version,
};

const Query = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(50),
  cursor: z.string().max(200).optional(),
  status: z.enum(["draft", "active", "completed", "archived"]).optional(),
  owner_id: z.uuid().optional(),
  product_type: z.enum(["physical_product", "software", "service"]).optional(),
  q: z.string().trim().min(1).max(200).optional(),
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
  const caller = await findCaller(payload.sid, payload.sub);
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
  const { limit, cursor, status, owner_id, product_type, q } = Query.parse(request.query);
  const { userId, permissions } = request.caller;
  const conditions = [status ? eq(projects.status, status) : ne(projects.status, "archived")];
  if (cursor) conditions.push(lt(projects.id, decodeCursor(cursor)));
  if (owner_id) conditions.push(eq(projects.ownerId, owner_id));
  if (product_type) conditions.push(eq(projects.productType, product_type));
  if (q) conditions.push(sql`projects.search @@ websearch_to_tsquery('simple', ${q})`);
  const list = db.select(columns).from(projects).$dynamic();
  if (!permissions.some((name) => ALL.includes(name))) {
    list.innerJoin(projectMembers, eq(projects.id, projectMembers.projectId));
    conditions.push(eq(projectMembers.userId, userId));
  }
  const found = await list.where(and(...conditions)).orderBy(desc(projects.id)).limit(limit + 1);
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
