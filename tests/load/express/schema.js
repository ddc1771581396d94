// The tables that the list reads, as Drizzle knows them.
import { boolean, integer, jsonb, pgTable, text, timestamp, uuid } from "drizzle-orm/pg-core";

const time = (name) => timestamp(name, { withTimezone: true, mode: "date" });

export const users = pgTable("users", {
  id: uuid("id").primaryKey(),
  email: text("email").notNull(),
  status: text("status").notNull(),
  emailVerifiedAt: time("email_verified_at"),
});

export const sessions = pgTable("sessions", {
  id: uuid("id").primaryKey(),
  userId: uuid("user_id").notNull(),
  expiresAt: time("expires_at").notNull(),
  revokedAt: time("revoked_at"),
});

export const roles = pgTable("roles", {
  id: uuid("id").primaryKey(),
  permissions: text("permissions").array().notNull(),
  selfAssignable: boolean("self_assignable").notNull(),
});

export const userRoles = pgTable("user_roles", {
  userId: uuid("user_id").notNull(),
  roleId: uuid("role_id").notNull(),
});

export const signingKeys = pgTable("signing_keys", {
  kid: text("kid").primaryKey(),
  jwk: jsonb("jwk").notNull(),
});

export const projects = pgTable("projects", {
  id: uuid("id").primaryKey(),
  title: text("title").notNull(),
  description: text("description").notNull(),
  ownerId: uuid("owner_id").notNull(),
  status: text("status").notNull(),
  productType: text("product_type"),
  settings: jsonb("settings").notNull(),
  archivedAt: time("archived_at"),
  createdAt: time("created_at").notNull(),
  updatedAt: time("updated_at").notNull(),
  version: integer("version").notNull(),
});

export const projectMembers = pgTable("project_members", {
  projectId: uuid("project_id").notNull(),
  userId: uuid("user_id").notNull(),
});
