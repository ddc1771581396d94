"""Who may read what is said: the members of a conversation, and nobody else, whatever their permissions."""


def is_member(conversation_id: str) -> str:
    """SQL: the caller (`%(caller)s`) takes part in the conversation with this id."""
    return f"""EXISTS (
        SELECT FROM conversation_members me WHERE me.conversation_id = {conversation_id} AND me.user_id = %(caller)s)"""


def attached(file: str) -> str:
    """SQL: this file was sent with a message that the caller may read, and not moved into a project since."""
    return f"""({file}.project_id IS NULL AND EXISTS (
        SELECT FROM attachments a JOIN messages m ON m.id = a.message_id
        WHERE a.file_id = {file}.id AND {is_member("m.conversation_id")}))"""
