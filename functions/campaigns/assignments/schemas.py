"""Bodies of assignments."""

from typing import ClassVar, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from quintet.http.schemas import Input, Output, Timestamp


class AgentsAssign(Input):
    """The agents to assign: some, or one."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})
    aliases: ClassVar = {"agent_ids": ("agentIds",), "agent_id": ("agentId",)}

    agent_ids: list[UUID] = Field(default_factory=list, min_length=1, max_length=100)
    agent_id: UUID | None = Field(None, description="Instead of `agent_ids`.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.agent_ids) is bool(self.agent_id):
            raise ValueError("send either agent_ids or agent_id")
        return self

    def named(self) -> dict[UUID, str]:
        """Each agent once, and where in the body they are (an RFC 6901 pointer)."""
        if self.agent_id:
            return {self.agent_id: "/agent_id"}
        return {agent: f"/agent_ids/{self.agent_ids.index(agent)}" for agent in self.agent_ids}


class AgentsAssigned(Output):
    """What assigning came to, by the agents' ids."""

    assigned: list[UUID] = Field(description="Newly.")
    already_assigned: list[UUID]


class ContactCounts(Output):
    """How many contacts there are by status."""

    new: int
    contacted: int
    converted: int
    rejected: int
    unreachable: int


class AssignedAgentRead(Output):
    """An agent who is assigned to a campaign, and the contacts of it that are theirs."""

    id: UUID
    name: str
    email: str
    available: bool
    assigned_at: Timestamp
    contacts: ContactCounts
