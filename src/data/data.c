/* placeholder */ typedef int hone_data_room;
